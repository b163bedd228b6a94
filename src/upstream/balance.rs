//! Which endpoint gets the next request.

/// How requests are spread over the endpoints of an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Balance {
    /// The one of two, chosen at random, that has less in flight.
    #[default]
    LeastInFlight,
    /// One after the other.
    RoundRobin,
}

/// Chooses one of `n`. `load` says how much each has in flight, or `None` where it is not to be chosen; `dice` is a random
/// number, or with [`Balance::RoundRobin`] one that grows by one with each choice.
///
/// Two random choices and not the least of all: whoever has the least is the same for all who choose at the same moment,
/// and an endpoint that has just come back would get everything.
pub(super) fn choose(balance: Balance, n: usize, dice: u64, load: impl Fn(usize) -> Option<u32>) -> Option<usize> {
    let candidates = || (0..n).filter_map(|at| Some((at, load(at)?)));
    let (low, high) = ((dice & 0xffff_ffff) as usize, (dice >> 32) as usize);
    if balance == Balance::RoundRobin {
        return (0..n).map(|step| (low + step) % n).find(|at| load(*at).is_some());
    }
    let several = candidates().count();
    if several < 2 {
        return candidates().next().map(|(at, _)| at);
    }
    let first = low % several;
    let second = (first + 1 + high % (several - 1)) % several;
    // What is read twice may have changed; then any choice is as good.
    let (one, other) = (candidates().nth(first)?, candidates().nth(second)?);
    Some(if other.1 < one.1 { other.0 } else { one.0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOADS: [Option<u32>; 4] = [Some(3), None, Some(0), Some(1)];

    fn chosen(balance: Balance, loads: &[Option<u32>]) -> Vec<usize> {
        let dice = |i: u64| if balance == Balance::RoundRobin { i } else { (i % 64) | ((i / 64) << 32) };
        let mut counts = vec![0; loads.len()];
        for i in 0..4096 {
            counts[choose(balance, loads.len(), dice(i), |at| loads[at]).unwrap()] += 1;
        }
        counts
    }

    #[test]
    fn of_two_the_one_with_less_in_flight_is_chosen() {
        for dice in 0..1000_u64 {
            let dice = dice.wrapping_mul(0x0123_4567_89ab_cdef);
            assert_eq!(choose(Balance::LeastInFlight, 2, dice, |at| Some(5 - at as u32)), Some(1));
            assert_eq!(choose(Balance::LeastInFlight, 3, dice, |at| [Some(9), None, Some(8)][at]), Some(2));
        }
    }

    #[test]
    fn the_one_with_the_most_gets_nothing_and_those_out_of_the_question_neither() {
        let counts = chosen(Balance::LeastInFlight, &LOADS);
        assert_eq!((counts[0], counts[1]), (0, 0));
        assert!(counts[2] > counts[3] && counts[3] > 0, "{counts:?}");
    }

    #[test]
    fn equals_are_chosen_about_equally_often() {
        let counts = chosen(Balance::LeastInFlight, &[Some(1); 4]);
        assert!(counts.iter().all(|count| (900..1150).contains(count)), "{counts:?}");
    }

    #[test]
    fn in_turn_everybody_gets_the_same_but_those_out_of_the_question() {
        assert_eq!(chosen(Balance::RoundRobin, &[Some(9), Some(0), Some(3), Some(3)]), [1024; 4]);
        assert_eq!(chosen(Balance::RoundRobin, &LOADS)[1], 0);
    }

    #[test]
    fn where_nobody_can_be_chosen_nobody_is() {
        for balance in [Balance::LeastInFlight, Balance::RoundRobin] {
            assert_eq!(choose(balance, 0, 7, |_| Some(0)), None);
            assert_eq!(choose(balance, 3, 7, |_| None), None);
            assert_eq!(choose(balance, 3, 7, |at| (at == 2).then_some(9)), Some(2));
        }
    }
}
