package command

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/demo"
	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/usage"
	"github.com/gatehouse-dev/gatehouse/controllers"
	"github.com/gatehouse-dev/gatehouse/controllers/manifests"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

func newTable() *cobra.Command {
	var paths []string
	var output string
	var pretend bool
	c := &cobra.Command{
		Use:     "table",
		Aliases: []string{"check"},
		Short:   "Check manifests: print the table that they compile to, and the statuses they would get",
		Long: `Table reads manifests, resolves and compiles them as a running gateway would, and prints the
routing table and each object's conditions. It needs no cluster and changes nothing.
It exits with 1 if a manifest is at fault.`,
		Example: "  gatehouse table -f config/samples/quickstart --demo\n  gatehouse table -f shop.yaml --output json | jq .statuses",
		Args:    usage.Exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := newSource(c.InOrStdin(), defaultController, ingressController, nil, paths)
			if err != nil {
				return err
			}
			if pretend {
				d, err := newDemonstration(demo.Pretend, c.OutOrStdout())
				if err != nil {
					return err
				}
				defer d.demo.Close()
				s.extra = d.objects
			}
			r := s.readAloud(c.ErrOrStderr())
			if why := s.unserved(r); why != "" {
				_, _ = fmt.Fprintln(c.ErrOrStderr(), why)
			}
			return printReading(c, r, output)
		},
	}
	addFilename(c, &paths)
	c.Flags().BoolVar(&pretend, "demo", false, "make up what the manifests need and standalone --demo makes up: certificates and backends")
	usage.Output(c, &output)
	return c
}

// addFilename gives c a --filename flag.
func addFilename(c *cobra.Command, paths *[]string) {
	c.Flags().StringSliceVarP(paths, "filename", "f", nil, "manifest file, or folder of them, to read, or - for standard input; may be given more than once")
	_ = c.MarkFlagFilename("filename", "yaml", "yml", "json")
}

func printReading(c *cobra.Command, r reading, output string) error {
	statuses := []controllers.Condition{}
	if r.graph != nil {
		statuses = controllers.Conditions(r.graph, r.policies)
	}
	if output != "text" {
		out := struct {
			Table    *table.Table            `json:"table,omitempty"`
			Statuses []controllers.Condition `json:"statuses"`
			Problems []manifests.Problem     `json:"problems"`
			Notes    []manifests.Problem     `json:"notes"`
		}{r.table, statuses, append([]manifests.Problem{}, r.problems...), append([]manifests.Problem{}, r.notes...)} // [], not null
		if err := usage.Print(c.OutOrStdout(), output, out); err != nil {
			return err
		}
	} else {
		if r.table != nil {
			_, _ = fmt.Fprint(c.OutOrStdout(), r.table.Text())
		}
		for _, s := range statuses {
			_, _ = fmt.Fprintln(c.OutOrStdout(), s)
		}
		for _, p := range r.notes {
			_, _ = fmt.Fprintln(c.ErrOrStderr(), "note:", p)
		}
		for _, p := range r.problems {
			_, _ = fmt.Fprintln(c.ErrOrStderr(), p)
		}
	}
	if n := len(r.problems); n > 0 {
		return fmt.Errorf("%d problem(s) found", n)
	}
	return nil
}
