# The static binary, the machine's certificate authorities, and nothing else: there is no shell in it and nothing to update.
# `cargo xtask image` builds the binary and fills the folder that is the context here.
#
#   docker run --read-only -v /srv/chancery:/var/lib/chancery --user "$(id -u):$(id -g)" -p … chancery
FROM scratch
COPY ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY chancery /chancery
# Nobody's number; the folder below belongs to whoever runs it.
USER 65532:65532
WORKDIR /var/lib/chancery
# Asks the admin listener that this file names.
HEALTHCHECK --interval=10s --timeout=10s --start-period=30s --retries=3 \
    CMD ["/chancery", "health", "--config", "/var/lib/chancery/chancery.yaml"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["/chancery"]
CMD ["serve", "--config", "/var/lib/chancery/chancery.yaml"]
