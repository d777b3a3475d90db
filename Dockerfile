# The image holds one static program and nothing else; its root file system can be read-only.
FROM golang:1.26 AS build
RUN apt-get update && apt-get install -y --no-install-recommends libcap2-bin && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o /gatehouse ./cmd/gatehouse
# A user other than root may bind ports below 1024 only if the file carries the capability. A container that may not have it cannot run the file.
RUN setcap cap_net_bind_service=+ep /gatehouse

FROM scratch
# Key sets and introspection endpoints are reached over TLS.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /gatehouse /gatehouse
# `kubectl exec POD -- gatehouse why` finds it; what builders set names folders that are not there.
ENV PATH=/
USER 65532:65532
EXPOSE 80 443 9901
ENTRYPOINT ["/gatehouse"]
CMD ["run"]
