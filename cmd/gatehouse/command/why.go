package command

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/usage"
	"github.com/gatehouse-dev/gatehouse/proxy/decision"
	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
)

func newWhy() *cobra.Command {
	var gateways admins
	var output string
	var last int
	c := &cobra.Command{
		Use:   "why [ID]",
		Short: "Tell why a running gateway answered a request as it did, by its decision id",
		Long: `Why asks a running gateway about one of its decisions: which route took the request, which
policy object supplied what, which step refused, and what would have passed.

The id stands in every answer the gateway makes itself ("id" in the problem document, else the
header Gatehouse-Decision) and in the access log. Without an id the last decisions are listed.
Each replica remembers its own, the last 1,024; give the admin address of each.
It exits with 1 if no gateway asked remembers the decision.`,
		Example: `  gatehouse why 9f0c6a1d2b3e4f50
  gatehouse why --output json 9f0c6a1d2b3e4f50 | jq .steps
  kubectl -n gatehouse-system exec deploy/gatehouse -- gatehouse why 9f0c6a1d2b3e4f50`,
		Args: usage.Between(0, 1),
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return listDecisions(c, gateways, last, output)
			}
			r, err := findDecision(c, gateways, args[0])
			if err != nil {
				return err
			}
			if output != "text" {
				return usage.Print(c.OutOrStdout(), output, r)
			}
			return printDecision(c.OutOrStdout(), r)
		},
	}
	gateways.add(c)
	c.Flags().IntVar(&last, "last", 20, "how many decisions to list when no id is given")
	usage.Output(c, &output)
	return c
}

// findDecision asks each gateway until one remembers.
func findDecision(c *cobra.Command, gateways admins, id string) (*decision.Record, error) {
	var errs []error
	for _, address := range gateways.all() {
		r := &decision.Record{}
		err := ask(c.Context(), address, "/debug/decisions/"+url.PathEscape(id), nil, r)
		if err == nil {
			return r, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// listDecisions lists the last decisions of all gateways that answer, latest first, and
// fails for those that do not.
func listDecisions(c *cobra.Command, gateways admins, last int, output string) error {
	all, asked := []*decision.Record{}, gateways.all()
	var errs []error
	for _, address := range asked {
		var some []*decision.Record
		if err := ask(c.Context(), address, "/debug/decisions?n="+strconv.Itoa(last), nil, &some); err != nil {
			errs = append(errs, err)
		}
		all = append(all, some...)
	}
	failed := errors.Join(errs...)
	if len(errs) == len(asked) {
		return failed
	}
	slices.SortStableFunc(all, func(a, b *decision.Record) int { return b.Time.Compare(a.Time) })
	return cmp.Or(printDecisions(c, all, output), failed)
}

func printDecisions(c *cobra.Command, all []*decision.Record, output string) error {
	if output != "text" {
		return usage.Print(c.OutOrStdout(), output, all)
	}
	w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tTIME\tREQUEST\tANSWER\tPOLICY")
	for _, r := range all {
		fmt.Fprintf(w, "%s\t%s\t%s %s%s\t%s\t%s\n", r.ID, r.Time.UTC().Format(time.RFC3339), r.Request.Method, r.Request.Host, r.Request.Path, verdict(r), r.Policy)
	}
	return w.Flush()
}

// verdict is how a request ended, in a few words.
func verdict(r *decision.Record) string {
	switch {
	case r.Code != "":
		return fmt.Sprintf("%d %s", r.Status, r.Code)
	case r.Shadow != "":
		return fmt.Sprintf("%d, in shadow %s", r.Status, r.Shadow)
	}
	return strconv.Itoa(r.Status)
}

func printDecision(out io.Writer, r *decision.Record) error {
	fmt.Fprintf(out, "decision %s at %s: answered %s\n", r.ID, r.Time.UTC().Format(time.RFC3339Nano), verdict(r))
	return printJudgement(out, r)
}

// printJudgement prints the request, where it went and what policies made of it.
func printJudgement(out io.Writer, r *decision.Record) error {
	fmt.Fprintf(out, "%s %s%s", r.Request.Method, r.Request.Host, r.Request.Path)
	if r.Request.Client != "" {
		fmt.Fprintf(out, " from %s", r.Request.Client)
	}
	fmt.Fprintln(out)
	for _, line := range [][2]string{
		{"listener", r.Listener}, {"route", strings.TrimSpace(r.Route + " " + r.Rule)}, {"backend", r.Backend}, {"caller", strings.TrimSpace(r.Caller.Method + " " + plain(r.Caller.Subject))},
	} {
		if line[1] != "" {
			fmt.Fprintf(out, "%-9s %s\n", line[0], line[1])
		}
	}
	return printSteps(out, r.Steps)
}

// plain is s without what moves a terminal's cursor or changes its colors: callers
// may choose what they are called where they are known.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

// printSteps prints a line for each step, aligned, and below it what would have
// passed.
func printSteps(out io.Writer, steps []exchange.Step) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, s := range steps {
		part := s.Part
		if s.Shadow {
			part += " (shadow)"
		}
		name, by := cmp.Or(s.Name, "-"), s.Policy
		if s.Part == exchange.PartPolicy {
			name, by = s.Policy, ""
		}
		fmt.Fprintf(w, "  %s\t%s\t%s\t%s\t%s\n", part, name, s.Outcome, cmp.Or(s.Code, "-"), by)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, s := range steps {
		if s.Cause != "" {
			of := strings.TrimSpace(s.Part + " " + s.Name)
			if s.When != "" {
				of += ": when " + s.When
			}
			fmt.Fprintf(out, "why it failed: %s: %s\n", of, s.Cause)
		}
	}
	heading := "what would have passed:\n"
	for _, s := range steps {
		if s.Needs != "" && lacked(&s) {
			fmt.Fprintf(out, "%s  %s: %s\n", heading, strings.TrimSpace(s.Part+" "+s.Name), s.Needs)
			heading = ""
		}
	}
	return nil
}

// lacked reports whether s did not let the request pass: by what it said, for want of a
// credential, or as a method that was not come to.
func lacked(s *exchange.Step) bool {
	return s.Code != "" || s.Outcome == exchange.StepAbsent || s.Outcome == exchange.StepNotTried && s.Part == exchange.PartMethod
}
