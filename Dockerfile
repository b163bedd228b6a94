# One static binary in an otherwise empty image. README.md says how to run it, tests/image.sh what must hold of it.

FROM rust:1-bookworm AS build
WORKDIR /build

# `otel` for traces; see docs/operating.md.
ARG FEATURES=""

# Static with glibc: the toolchain of this image brings the standard library of its own target only, which is not musl's.
# Since glibc 2.34 (this is 2.36) a static program has in itself what looks names up in /etc/hosts and by DNS, and opens
# no library for it at run time; the test looks names up both ways.
ENV RUSTFLAGS="-C target-feature=+crt-static"

# The dependencies, in a layer that lasts until they change. That the target is named keeps the flag away from what runs
# inside the compiler, which can't be static.
COPY Cargo.toml Cargo.lock build.rs ./
# Benchmarks, examples and tests are not copied, and no targets here.
RUN sed -i '/^\[\[\(bench\|example\|test\)\]\]$/,/^$/d' Cargo.toml
RUN mkdir src && echo '//! Stands in.' >src/lib.rs && printf '//! Stands in.\nfn main() {}\n' >src/main.rs \
    && cargo build --release --locked --features "$FEATURES" --target "$(rustc --print host-tuple)"

# Cargo goes by time, and the sources may be older than what stood in for them.
COPY src src
COPY config config
# What /metrics says it was built of.
ARG BUILT_FROM_COMMIT
RUN touch src/lib.rs src/main.rs \
    && cargo build --release --locked --features "$FEATURES" --target "$(rustc --print host-tuple)" \
    && cp target/*/release/sluicegate .

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /build/sluicegate /
USER 65532:65532
EXPOSE 8080 9901
STOPSIGNAL SIGTERM
ENTRYPOINT ["/sluicegate"]
ENV SLUICEGATE_ADMIN=0.0.0.0:9901
HEALTHCHECK CMD ["/sluicegate","health"]
