package command

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/usage"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// exposed is one rule, and how far a caller comes who presents no credential.
type exposed struct {
	Listener  string `json:"listener"`
	Host      string `json:"host"`
	Match     string `json:"match"`
	Route     string `json:"route"`
	Rule      string `json:"rule"`
	Anonymous string `json:"anonymous"` // "open", "conditional" or "closed"
	Because   string `json:"because"`
}

// How far callers come who present no credential.
const (
	exposureOpen        = "open"        // to the backend
	exposureConditional = "conditional" // to the backend, if more holds
	exposureClosed      = "closed"      // not
)

func newExposure() *cobra.Command {
	var paths []string
	var gateways admins
	var output string
	var all bool
	c := &cobra.Command{
		Use:   "exposure",
		Short: "List what a caller without any credential can reach",
		Long: `Exposure lists every rule that lets a caller on who presents no credential: "open" ones let
everybody on, "conditional" ones those for whom further conditions hold. It reads manifests with
--filename, or asks a running gateway.`,
		Example: "  gatehouse exposure -f config/samples/quickstart\n  gatehouse exposure --all --output json | jq '.[] | select(.anonymous == \"open\")'",
		Args:    usage.Exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			t, err := tableOf(c, paths, gateways)
			if err != nil {
				return err
			}
			list := exposure(t, all, time.Now())
			if output != "text" {
				return usage.Print(c.OutOrStdout(), output, list)
			}
			w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "ANONYMOUS\tLISTENER\tHOST\tMATCH\tRULE\tBECAUSE")
			for _, e := range list {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s %s\t%s\n", e.Anonymous, e.Listener, e.Host, e.Match, e.Route, e.Rule, e.Because)
			}
			return w.Flush()
		},
	}
	addFilename(c, &paths)
	gateways.add(c)
	c.Flags().BoolVar(&all, "all", false, "list what is closed to such callers too")
	usage.Output(c, &output)
	return c
}

// tableOf is the table of manifests, or the one that a running gateway serves.
func tableOf(c *cobra.Command, paths []string, gateways admins) (*table.Table, error) {
	if len(paths) == 0 {
		var raw json.RawMessage
		if err := ask(c.Context(), gateways.all()[0], "/debug/table?format=json", nil, &raw); err != nil {
			return nil, err
		}
		return table.Load(raw)
	}
	return manifestTable(c, paths, true)
}

// manifestTable is the table that manifests compile to. What is wrong with them is
// told, and that nothing of them is served where the table alone would look as if nothing
// could be reached; where a table comes of them all the same, it is returned.
func manifestTable(c *cobra.Command, paths []string, sayUnserved bool) (*table.Table, error) {
	s, err := newSource(c.InOrStdin(), defaultController, ingressController, nil, paths)
	if err != nil {
		return nil, err
	}
	r := s.readAloud(c.ErrOrStderr())
	for _, p := range r.problems {
		fmt.Fprintln(c.ErrOrStderr(), p)
	}
	if r.table == nil {
		return nil, fmt.Errorf("%d problem(s) found; no table comes of these manifests", len(r.problems))
	}
	if why := s.unserved(r); why != "" && sayUnserved {
		fmt.Fprintln(c.ErrOrStderr(), why)
	}
	return r.table, nil
}

// exposure lists the rules of t that let a caller without credentials on, or all.
func exposure(t *table.Table, all bool, now time.Time) []exposed {
	out := []exposed{}
	for _, l := range t.Listeners {
		for _, h := range l.Hosts {
			for _, r := range h.Rules {
				e := exposed{Listener: l.ID, Host: h.Name, Match: r.Match.String(), Route: r.Action.Route, Rule: r.Action.Rule}
				if e.Anonymous, e.Because = anonymously(r.Action, now); all || e.Anonymous != exposureClosed {
					out = append(out, e)
				}
			}
		}
	}
	return out
}

// anonymously says how far a caller without credentials comes.
func anonymously(a *table.Action, now time.Time) (how, because string) {
	auth := a.Auth
	switch {
	case a.Reply != nil:
		return exposureClosed, "the rule is unusable: " + a.Reply.Code
	case auth == nil && a.ShadowAuth != nil:
		return exposureOpen, "its AuthPolicy is only in shadow mode"
	case auth == nil:
		return exposureOpen, "no AuthPolicy"
	case auth.Closed != nil:
		return exposureClosed, "a policy is broken: " + auth.Closed.Code
	}
	truth, conditions := withoutCredentials(auth)
	over := auth.Public != nil && auth.Public.Expires != 0 && now.Unix() >= auth.Public.Expires
	switch {
	case over && len(auth.Methods) == 0 && !auth.Conditional(auth.Public.Source):
		return exposureClosed, "no longer public: " + auth.Public.String()
	case over && len(auth.Methods) == 0:
		return exposureConditional, "no longer public: " + unless(&auth.Sources[auth.Public.Source])
	case auth.Public != nil && !over && len(conditions) == 0 && truth != table.Undecided:
		return exposureOpen, "public: " + auth.Public.String()
	case auth.Public != nil && !over:
		return exposureConditional, strings.Join(append([]string{"public: " + auth.Public.String()}, conditions...), "; ")
	case truth == table.False:
		return exposureClosed, "a credential is required"
	case truth == table.Undecided || len(conditions) > 0:
		return exposureConditional, strings.Join(conditions, "; ")
	}
	return exposureOpen, "its AuthPolicy asks for nothing"
}

// withoutCredentials says whether the authentication that auth asks for is
// satisfied by nobody's credential, and what else must hold for such a caller.
func withoutCredentials(auth *table.Auth) (table.Truth, []string) {
	var conditions, names []string
	var yes, no uint64
	for i, m := range auth.Methods {
		names = append(names, m.Name)
		switch {
		case m.Anonymous && len(m.When) == 0:
			yes |= 1 << i
		case m.Anonymous:
			conditions = append(conditions, "where "+strings.Join(m.When, " and "))
		default:
			no |= 1 << i
		}
	}
	require, err := table.ParseRequire(auth.Require, names)
	truth := table.True
	if err != nil {
		truth = table.False
	} else if len(names) > 0 {
		truth = require.Decide(yes, no)
	}
	if where := spared(auth); len(where) > 0 && truth == table.False {
		truth, conditions = table.Undecided, append(conditions, where...)
	}
	for _, r := range auth.Rules {
		if !r.Shadow { // which refuses nobody
			conditions = append(conditions, fmt.Sprintf("rule %s allows: %s", r.Name, r))
		}
	}
	return truth, conditions
}

// spared says where nobody is asked: where no policy applies that brought a method.
func spared(auth *table.Auth) (where []string) {
	for _, m := range auth.Methods {
		if !auth.Conditional(m.Source) {
			return nil
		}
		where = append(where, unless(&auth.Sources[m.Source]))
	}
	slices.Sort(where)
	return slices.Compact(where)
}

func unless(s *table.Source) string {
	return s.Policy + " does not apply unless " + strings.Join(s.When, " and ")
}
