package command

import (
	"cmp"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strconv"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/pflag"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/limits"
	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/memory"
	"github.com/gatehouse-dev/gatehouse/controllers/attach"
	"github.com/gatehouse-dev/gatehouse/controllers/graph"
	"github.com/gatehouse-dev/gatehouse/proxy"
	"github.com/gatehouse-dev/gatehouse/proxy/clientip"
)

// defaultController is the controllerName of the GatewayClasses we serve unless told otherwise.
const defaultController = "gatehouse.dev/gateway-controller"

// ingressController is the controller of the IngressClasses we serve unless told otherwise.
const ingressController = "gatehouse.dev/ingress-controller"

// systemNamespace is ours unless we are told otherwise.
const systemNamespace = "gatehouse-system"

// serving is the flags of the commands that serve: run and standalone.
type serving struct {
	admin      string
	listen     string
	controller string
	ingress    string
	logLevel   string
	logFormat  string
	accessLog  float64
	drain      proxy.Drain
	limits     limits.Limits
}

func (s *serving) add(f *pflag.FlagSet) {
	f.StringVar(&s.controller, "controller-name", defaultController, "spec.controllerName of the GatewayClasses to serve")
	f.StringVar(&s.ingress, "ingress-controller-name", ingressController, "spec.controller of the IngressClasses to serve; empty for no Ingresses")
	f.StringVar(&s.admin, "admin-address", "127.0.0.1:9901", "address for /metrics, /healthz, /readyz, /jwks and /debug, listed at /; keep it from callers")
	f.StringVar(&s.listen, "listen-address", "", "IP address that listeners bind where their Gateway names none; default: every address of the machine")
	f.StringVar(&s.logLevel, "log-level", "info", "least level that is logged: debug, info, warn or error")
	f.StringVar(&s.logFormat, "log-format", "text", "form of the log: text or json")
	f.Float64Var(&s.accessLog, "access-log-sample", 0, "share of the requests logged to standard output as JSON lines, 0 (none) to 1 (all)")
	f.StringSliceVar(&s.limits.Clients.Trusted, "trusted-proxies", nil, "networks of the proxies in front whose X-Forwarded-For is believed, such as 10.0.0.0/8")
	f.DurationVar(&s.drain.Delay, "drain-delay", 5*time.Second, "at the end: from not ready to not accepting, for load balancers to notice; negative for none")
	f.DurationVar(&s.drain.Timeout, "drain-timeout", 30*time.Second, "at the end: for the requests under way to finish")
	limits.Add(f, &s.limits)
}

// logger returns the logger the flags ask for.
func (s *serving) logger(w io.Writer) (logr.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(s.logLevel)); err != nil {
		return logr.Logger{}, fmt.Errorf("--log-level %q: use debug, info, warn or error", s.logLevel)
	}
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: named}
	switch s.logFormat {
	case "text":
		return logr.FromSlogHandler(slog.NewTextHandler(w, options)), nil
	case "json":
		return logr.FromSlogHandler(slog.NewJSONHandler(w, options)), nil
	}
	return logr.Logger{}, fmt.Errorf("--log-format %q: use text or json", s.logFormat)
}

// warn logs what is in order and was probably not meant: logr has no level for it.
func warn(log logr.Logger, message string, about ...any) {
	slog.New(logr.ToSlogHandler(log)).Warn(message, about...)
}

// named gives levels the names that --log-level has for them: logr's V(1) lies between
// debug and info, for which slog says DEBUG+3.
func named(groups []string, a slog.Attr) slog.Attr {
	if level, ok := a.Value.Any().(slog.Level); ok && len(groups) == 0 && a.Key == slog.LevelKey && level < slog.LevelInfo {
		a.Value = slog.StringValue(slog.LevelDebug.String())
	}
	return a
}

// options are the proxy's, as the flags say.
func (s *serving) options(log logr.Logger) (proxy.Options, error) {
	if s.accessLog < 0 || s.accessLog > 1 {
		return proxy.Options{}, fmt.Errorf("--access-log-sample %v: use a share from 0 to 1", s.accessLog)
	}
	if _, err := netip.ParseAddr(s.listen); s.listen != "" && err != nil {
		return proxy.Options{}, fmt.Errorf("--listen-address %q: use an IP address", s.listen)
	}
	if _, err := clientip.Parse(s.limits.Clients.Trusted); err != nil {
		return proxy.Options{}, fmt.Errorf("--trusted-proxies: %w", err)
	}
	o := proxy.Options{
		Bind:         s.bind,
		Version:      version,
		Log:          log,
		Admin:        s.admin,
		Drain:        s.drain,
		Backends:     s.limits.Backends,
		Clients:      s.limits.Clients,
		Mirrors:      s.limits.Mirrors,
		SessionBytes: s.limits.SessionBytes,
		Memory:       memory.Follow(),
	}
	if o.Memory > 0 && o.Memory < memory.Least {
		log.Error(nil, "the memory limit is less than a gateway takes: connections are refused with 503; give the container 64 MiB or more",
			"bytes", o.Memory, "least", memory.Least)
	}
	if s.accessLog > 0 {
		o.AccessLog = proxy.AccessLog{Writer: os.Stdout, Share: s.accessLog}
	}
	return o, nil
}

// bind is where a listener of a Gateway binds; address is "" when the Gateway names none.
func (s *serving) bind(address string, port uint16) string {
	return net.JoinHostPort(cmp.Or(address, s.listen), strconv.Itoa(int(port)))
}

// control is the configuration of the control half, the same for every command:
// what the proxy would refuse, attach refuses.
type control struct {
	graph  graph.Config
	attach attach.Config
}

// newControl makes one for the controllers that the classes name.
func newControl(controller, ingress string, addresses []string) (control, error) {
	checks, err := proxy.NewChecks()
	if err != nil {
		return control{}, err
	}
	name := gatewayv1.GatewayController(controller)
	return control{
		graph:  graph.Config{Controller: name, Ingress: ingress, Namespace: systemNamespace, Addresses: addresses},
		attach: attach.Config{Controller: name, Checks: attach.Checks(checks)},
	}, nil
}
