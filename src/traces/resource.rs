//! Who says all this.

use form_urlencoded::parse;

use super::messages::{Resource, Value, attribute};

/// This process. `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` are heeded, as everywhere in OpenTelemetry.
pub(super) fn resource(variable: impl Fn(&str) -> Option<String>) -> Resource {
    let variable = |name| variable(name).filter(|value| !value.is_empty());
    let mut attributes = vec![
        ("service.name".to_owned(), "sluicegate".to_owned()),
        ("service.version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
        ("service.instance.id".to_owned(), format!("{:032x}", fastrand::u128(..))),
        ("telemetry.sdk.language".to_owned(), "rust".to_owned()),
    ];
    let mut set = |name: String, value: String| {
        attributes.retain(|(known, _)| *known != name);
        attributes.push((name, value));
    };
    // `name=value,name=value`, where a comma or an equals sign in a value is escaped; a plus is none.
    for pair in variable("OTEL_RESOURCE_ATTRIBUTES").iter().flat_map(|list| list.split(',')) {
        let escaped = pair.trim().replace('+', "%2B").replace('&', "%26");
        for (name, value) in parse(escaped.as_bytes()).filter(|(name, _)| !name.is_empty()) {
            set(name.into_owned(), value.into_owned());
        }
    }
    if let Some(name) = variable("OTEL_SERVICE_NAME") {
        set("service.name".to_owned(), name);
    }
    let attributes = attributes.into_iter().map(|(name, value)| attribute(&name, Value::Text(value)));
    Resource { attributes: attributes.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_called_as_its_environment_says() {
        let of = |variables: &[(&str, &str)], name: &str| {
            let variable =
                |wanted: &str| variables.iter().find(|(name, _)| *name == wanted).map(|(_, value)| (*value).to_owned());
            let found = resource(variable).attributes.into_iter().filter(|attribute| attribute.key == name);
            found.map(|attribute| attribute.value.unwrap().value.unwrap()).collect::<Vec<_>>()
        };
        let text = |text: &str| vec![Value::Text(text.to_owned())];
        assert_eq!(of(&[], "service.name"), text("sluicegate"));
        let attributes = ("OTEL_RESOURCE_ATTRIBUTES", "service.name=a, deployment.environment.name=x%2Cy+z&b,,=1");
        assert_eq!(of(&[attributes], "service.name"), text("a"));
        assert_eq!(of(&[attributes], "deployment.environment.name"), text("x,y+z&b"));
        assert_eq!(of(&[attributes, ("OTEL_SERVICE_NAME", "b")], "service.name"), text("b"));
        assert_eq!(of(&[("OTEL_SERVICE_NAME", "")], "service.name"), text("sluicegate"));
    }
}
