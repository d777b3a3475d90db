package arch

// Patterns: "a/b" is one package, "a/*" what lies directly below, "a/**" the whole tree with its root. Subjects are always
// folders of this module. Where a list may name both ours and others, ours begin with "./".

// Rule is one entry of the house's list.
type Rule struct {
	ID    string // "N1"
	Says  string
	Check func(*Module) []Violation
}

// Rules returns every rule that can be checked on a loaded module alone. The text rule, the named rooms and the checked-in
// lists need more than that and are called by the tests directly.
func Rules() []Rule {
	return []Rule{
		{"N1", "proxy never reaches Kubernetes, the API types or the controllers", checkProxyClosure},
		{"N2", "controllers know only proxy/table of the proxy", checkControllersImport},
		{"N3", "only cmd and test import both halves", checkBothHalves},
		{"N4", "proxy/table and proxy/mem import std only; unsafe stays in its rooms", checkStdOnly},
		{"N5", "store, graph and compile are pure", checkPure},
		{"N6", "leaves import neither a sibling nor what assembles them", checkLeaves},
		{"N7", "no reflection in the hot set; regular expressions compile at swap", checkHot},
		{"N8", "arrows go only down", checkLayers},
		{"N9", "no init, no mutable package state, no panic in the proxy", checkState},
		{"N10", "no mock generators; no test package in product code", checkTestImports},
		{"N12", "every package says what it is", checkDoc},
	}
}

// layer is one room and what it may import of ours. A row may only name rooms of rows above it, so every arrow goes down
// by construction; checkLayers refuses a table that is not so ordered.
type layer struct {
	room string
	may  []string
}

// layers is the plan of both halves, from the bottom up (N8). A package under proxy or controllers without a row here has
// no room yet: give it one, here and in docs/architecture.md.
var layers = []layer{
	{"proxy/table", nil},
	{"proxy/mem", nil},
	{"proxy/poll", nil},
	{"proxy/admission", nil},
	{"proxy/sni", nil},
	{"proxy/proxyproto", nil},
	{"proxy/socket", []string{"proxy/mem"}},
	{"proxy/record", []string{"proxy/mem", "proxy/socket"}},
	{"proxy/relay", []string{"proxy/mem", "proxy/poll", "proxy/socket"}},
	{"proxy/exchange", []string{"proxy/table", "proxy/mem"}},
	{"proxy/decision", []string{"proxy/exchange"}},
	{"proxy/telemetry", []string{"proxy/table", "proxy/mem", "proxy/exchange"}},
	{"proxy/wire", []string{"proxy/mem", "proxy/exchange"}},
	{"proxy/frame", []string{"proxy/mem", "proxy/exchange", "proxy/wire"}},
	{"proxy/clientip", []string{"proxy/table", "proxy/mem", "proxy/exchange"}},
	{"proxy/expr", []string{"proxy/table", "proxy/mem", "proxy/exchange"}},
	{"proxy/clientcert", []string{"proxy/table", "proxy/exchange"}},
	{"proxy/match", []string{"proxy/table", "proxy/mem", "proxy/exchange"}},
	{"proxy/filter", []string{"proxy/table", "proxy/mem", "proxy/exchange"}},
	{"proxy/session", []string{"proxy/table", "proxy/mem", "proxy/exchange"}},
	{"proxy/auth", []string{"proxy/table", "proxy/mem", "proxy/exchange", "proxy/filter"}},
	{"proxy/upstream/*", []string{"proxy/table", "proxy/mem", "proxy/record", "proxy/wire", "proxy/frame", "proxy/telemetry", "proxy/exchange"}},
	{"proxy/upstream", []string{
		"proxy/table", "proxy/mem", "proxy/admission", "proxy/socket", "proxy/record", "proxy/wire", "proxy/telemetry", "proxy/exchange",
		"proxy/upstream/*",
	}},
	{"proxy/remote", []string{"proxy/table", "proxy/exchange", "proxy/upstream"}},
	{"proxy/filter/*", []string{"proxy/table", "proxy/mem", "proxy/exchange", "proxy/filter"}},
	{"proxy/auth/*", []string{"proxy/table", "proxy/mem", "proxy/exchange", "proxy/expr", "proxy/remote", "proxy/filter", "proxy/auth"}},
	{"proxy/guard", []string{"proxy/table", "proxy/mem", "proxy/exchange", "proxy/expr", "proxy/remote", "proxy/upstream", "proxy/filter", "proxy/auth", "proxy/auth/*"}},
	{"proxy/validate", []string{"proxy/table", "proxy/mem", "proxy/exchange", "proxy/expr", "proxy/filter"}},
	{"proxy/router", []string{
		"proxy/table", "proxy/mem", "proxy/exchange", "proxy/match", "proxy/filter", "proxy/filter/*",
		"proxy/clientcert", "proxy/auth", "proxy/auth/*", "proxy/expr", "proxy/guard", "proxy/validate", "proxy/telemetry", "proxy/upstream", "proxy/session",
	}},
	{"proxy/explain", []string{
		"proxy/table", "proxy/wire", "proxy/exchange", "proxy/decision", "proxy/telemetry", "proxy/guard", "proxy/upstream", "proxy/router",
	}},
	{"proxy/forward", []string{
		"proxy/table", "proxy/mem", "proxy/poll", "proxy/relay", "proxy/socket", "proxy/wire", "proxy/telemetry", "proxy/exchange", "proxy/filter", "proxy/upstream", "proxy/clientip",
		"proxy/router", "proxy/session",
	}},
	{"proxy/http1", []string{"proxy/table", "proxy/mem", "proxy/socket", "proxy/record", "proxy/wire", "proxy/telemetry", "proxy/exchange"}},
	{"proxy/section", []string{"proxy/mem", "proxy/wire", "proxy/frame", "proxy/exchange"}},
	{"proxy/http2", []string{"proxy/table", "proxy/mem", "proxy/socket", "proxy/wire", "proxy/frame", "proxy/section", "proxy/telemetry", "proxy/exchange"}},
	{"proxy/http3", []string{"proxy/table", "proxy/mem", "proxy/wire", "proxy/frame", "proxy/section", "proxy/exchange"}},
	{"proxy/stream", []string{"proxy/table", "proxy/telemetry", "proxy/upstream"}},
	{"proxy/tcp", []string{"proxy/mem", "proxy/poll", "proxy/relay", "proxy/socket", "proxy/telemetry", "proxy/upstream", "proxy/stream"}},
	{"proxy/udp", []string{"proxy/mem", "proxy/socket", "proxy/telemetry", "proxy/upstream", "proxy/stream"}},
	{"proxy/listener", []string{"proxy/table", "proxy/mem", "proxy/poll", "proxy/admission", "proxy/relay", "proxy/socket", "proxy/record", "proxy/telemetry", "proxy/exchange", "proxy/clientcert", "proxy/sni", "proxy/proxyproto", "proxy/stream"}},
	{"proxy", []string{"proxy/**"}},

	{"api/v1alpha1", nil},
	{"controllers/store", []string{"api/v1alpha1"}},
	{"controllers/policy", []string{"api/v1alpha1", "controllers/store"}},
	{"controllers/spec", nil},
	{"controllers/refgrant", []string{"controllers/store"}},
	{"controllers/keysecret", []string{"api/v1alpha1", "controllers/store", "controllers/policy", "controllers/refgrant"}},
	{"controllers/params", []string{"api/v1alpha1", "controllers/store", "controllers/spec"}},
	{"controllers/ingress", []string{"api/v1alpha1", "controllers/store", "controllers/spec"}},
	{"controllers/migrate", []string{"api/v1alpha1", "controllers/spec", "controllers/ingress"}},
	{"controllers/backendtls", []string{"controllers/store", "controllers/policy", "controllers/spec"}},
	{"controllers/traffic", []string{"controllers/store", "controllers/policy", "controllers/spec"}},
	{"controllers/external", []string{"controllers/store", "controllers/spec", "controllers/backendtls"}},
	{"controllers/graph", []string{"controllers/external", "controllers/backendtls", "api/v1alpha1", "controllers/store", "controllers/spec", "controllers/traffic", "controllers/params", "controllers/ingress", "controllers/refgrant"}},
	{"controllers/attach", []string{"controllers/keysecret", "controllers/external", "api/v1alpha1", "controllers/store", "controllers/policy", "controllers/spec", "controllers/traffic", "controllers/backendtls", "controllers/graph"}},
	{"controllers/compile/memo", nil},
	{"controllers/compile/access", []string{"api/v1alpha1", "controllers/keysecret", "controllers/policy", "controllers/attach", "controllers/compile/memo", "proxy/table"}},
	{"controllers/compile", []string{"api/v1alpha1", "controllers/policy", "controllers/spec", "controllers/params", "controllers/backendtls", "controllers/graph", "controllers/attach", "controllers/compile/memo", "controllers/compile/access", "proxy/table"}},
	{"controllers/status", []string{"api/v1alpha1", "controllers/store", "controllers/spec", "controllers/policy", "controllers/ingress", "controllers/graph", "controllers/attach"}},
	{"controllers/provision", []string{"api/v1alpha1", "controllers/store", "controllers/spec", "controllers/graph"}},
	{"controllers/sharedkey", []string{"controllers/store"}},
	{"controllers/keptkeys", []string{"controllers/store"}},
	{"controllers/endpoints", []string{"proxy/table"}},
	{"controllers/names", []string{"proxy/table"}},
	{"controllers/watch", []string{"api/v1alpha1", "controllers/store"}},
	{"controllers/rules", nil},
	{"controllers/manifests", []string{"api/v1alpha1", "controllers/store", "controllers/watch", "controllers/rules"}},
	{"controllers", []string{"controllers/**", "api/v1alpha1", "proxy/table"}},
}

// layered says which packages must have a row in layers.
var layered = []string{"api/**", "controllers/**", "proxy/**"}

// N1.
var (
	proxyRooms  = []string{"proxy/**"}
	proxyBanned = []string{"k8s.io/**", "sigs.k8s.io/**", "./api/**", "./controllers/**"}
)

// pureRooms hold functions from values to values (N5): no client, no clock, no logger, no I/O.
var (
	pureRooms   = []string{"controllers/store", "controllers/keysecret", "controllers/policy", "controllers/spec", "controllers/params", "controllers/ingress", "controllers/migrate", "controllers/backendtls", "controllers/external", "controllers/traffic", "controllers/refgrant", "controllers/graph", "controllers/attach", "controllers/compile", "controllers/compile/*"}
	pureBanned  = []string{"k8s.io/client-go/**", "sigs.k8s.io/controller-runtime/**"} // in their closure
	pureImports = []string{"context", "net/http", "os", "log/**"}
	pureCalls   = []string{"time.Now", "time.Since", "time.Until"}
)

// N4.
var (
	stdOnlyRooms = []string{"proxy/table", "proxy/mem"}
	unsafeRooms  = []string{"proxy/mem", "proxy/poll", "proxy/socket"}
)

// N6. Each group is a set of siblings that never see each other; assemblers are what no leaf may know.
var (
	leafGroups = [][]string{
		{"proxy/filter/*"},
		{"proxy/auth/*"},
		{"proxy/upstream/*"},
		{"proxy/http1", "proxy/http2", "proxy/http3", "proxy/tcp", "proxy/udp"},
	}
	assemblers = []string{"proxy", "proxy/router", "proxy/forward", "proxy/listener"}
)

// N7. Regular expressions compile only in swapRooms, and there only in functions that build: those whose name begins with
// one of the verbs. The control half has no request path and may compile where it likes.
var (
	hotRooms = []string{
		"proxy/mem/**", "proxy/poll/**", "proxy/wire/**", "proxy/frame/**", "proxy/exchange/**", "proxy/match/**", "proxy/router/**", "proxy/forward/**",
		"proxy/http1/**", "proxy/http2/**", "proxy/http3/**", "proxy/section/**", "proxy/sni/**", "proxy/stream/**", "proxy/relay/**", "proxy/tcp/**", "proxy/udp/**",
	}
	hotImports = []string{"reflect", "encoding/json/**"}
	swapRooms  = []string{"proxy/match", "proxy/router", "proxy/validate"}
	buildVerbs = []string{"New", "new", "Compile", "compile", "Build", "build", "parse"}
	regexpCall = []string{"regexp.Compile", "regexp.CompilePOSIX", "regexp.MustCompile", "regexp.MustCompilePOSIX"}
)

// N9. A package-level variable is a table that nothing writes to, an error, or built by one of these calls, or of one of
// these types.
var (
	initRooms    = []string{"api/**"}
	schemeRooms  = []string{"api/**"} // SchemeBuilder, AddToScheme: what kubebuilder generates
	constantCall = []string{
		"errors.New", "fmt.Errorf", "strings.NewReplacer", "netip.MustParsePrefix", "netip.MustParseAddr",
		"prometheus.*", "promauto.*",
	}
	regexpVars = []string{"controllers/**"}
	stateTypes = []string{"sync.Pool", "embed.FS", "prometheus.*"}
	linkedVars = []string{"version", "commit", "date"} // set by the linker, in cmd only
)

// N10.
var (
	mockImports = []string{
		"go.uber.org/mock/**", "github.com/golang/mock/**", "github.com/stretchr/testify/mock",
		"github.com/vektra/mockery/**", "github.com/maxbrunsfeld/counterfeiter/**",
	}
	testImports = []string{
		"testing/**", "net/http/httptest", "github.com/stretchr/testify/**", "go.uber.org/goleak",
		"github.com/onsi/**", "./test/**",
	}
)

// N11, tests and generated files not counted.
const (
	maxFileLines    = 500
	maxFuncLines    = 80
	maxFields       = 15
	maxMethods      = 4
	maxParameters   = 5
	maxPackageLines = 2500

	goalFileLines = 350 // at the 90th percentile
	goalFuncLines = 35
)

// textRule is a pattern that no tracked file may hold, and why. One letter of each stands in brackets, so that this file
// keeps its own rule.
type textRule struct {
	pattern, why string
}

var forbiddenText = []textRule{
	{`\.\./share[d]\b`, "the repository stands alone"},
	{`(^|[^\w.])/wor[k]/`, "a path of one machine"},
	{`/roo[t]/go\b`, "a path of one machine"},
	{`/tm[p]/brief`, "a path of one machine"},
	{`\b(proxy|sum)\.golang\.or[g]\b`, "a registry host: leave the choice to the reader's go env"},
	{`\bTOD[O]\b`, "do it or leave it out"},
	{`\bFIXM[E]\b`, "fix it or leave it out"},
	{`\bXX[X]\b`, "say what is wrong or mend it"},
	{`(?i)\bfor no[w][,.;:)]`, "say what it does, not what it will"},
	{`(?i)\bissue #?[0-9]`, "text outlives the tracker: say the reason itself"},
	{`(?i)\b(chatgp[t]|claud[e]|copilo[t]|anthropi[c])\b`, "say what the code does, not how it was written"},
}

// namedRooms lists every package that a rule names: each single one, and the root of each tree, must exist or be in planned.txt, so that a rule cannot go
// on passing because its subject was renamed.
func namedRooms() []string {
	var all []string
	for _, l := range layers {
		all = append(all, l.room)
	}
	for _, list := range [][]string{pureRooms, stdOnlyRooms, unsafeRooms, assemblers, hotRooms, swapRooms} {
		all = append(all, list...)
	}
	for _, group := range leafGroups {
		all = append(all, group...)
	}
	return all
}
