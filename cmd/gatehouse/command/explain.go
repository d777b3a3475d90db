package command

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/usage"
	"github.com/gatehouse-dev/gatehouse/proxy/explain"
)

// asking is the flags of explain.
type asking struct {
	paths    []string
	gateways admins
	output   string
	claims   string
	query    explain.Query
}

func newExplain() *cobra.Command {
	a := &asking{}
	c := &cobra.Command{
		Use:   "explain METHOD URL",
		Short: "Tell what would become of a request: its route, what each policy makes of it, and the answer",
		Long: `Explain walks a request that nobody sends through the routing table: the listener, route and
rule that take it, each policy with the object its parts came from, and what the caller would be
answered or where the request would go. With --filename it compiles manifests and needs nothing
that runs; otherwise it asks a running gateway.

--jwt-claims stands for a token that was signed by the right issuer: the claims are checked as the
policy says (issuer, audience, expiry; without exp it never expires), only the signature is not.
Credentials given by --header are checked for real, and so is a certificate given by --client-cert.`,
		Example: `  gatehouse explain GET http://localhost:8080/account -f config/samples/quickstart
  gatehouse explain POST https://shop.example.com/orders --jwt-claims '{"iss":"https://issuer.example","aud":"orders","scope":"orders.write"}'
  gatehouse explain GET http://shop.example.com/ --client-ip 192.0.2.7 -H 'X-API-Key: …' --output json`,
		Args: usage.Exactly("METHOD", "URL"),
		RunE: func(c *cobra.Command, args []string) error { return a.run(c, args) },
	}
	addFilename(c, &a.paths)
	a.gateways.add(c)
	f := c.Flags()
	f.StringArrayVarP(&a.query.Header, "header", "H", nil, "header field of the request, as 'Name: value'; may be given more than once")
	f.StringVar(&a.query.Client, "client-ip", "", "address of the caller; default: 127.0.0.1")
	usage.Certificates(c, &a.query.ClientCert, "client-cert", "PEM file with the certificate that the caller shows in the TLS handshake, and those between it and the authority; no key is needed")
	f.StringVar(&a.query.Content, "data", "", "content of the request")
	f.StringVar(&a.claims, "jwt-claims", "", "claims, as a JSON object, of a token that counts as signed")
	f.StringVar(&a.query.Gateway, "gateway", "", "namespace/name of the Gateway the request comes to; default: each that listens on the URL's port")
	usage.Output(c, &a.output)
	return c
}

func (a *asking) run(c *cobra.Command, args []string) error {
	a.query.Method, a.query.URL = args[0], args[1]
	if a.claims != "" {
		if err := json.Unmarshal([]byte(a.claims), &a.query.Claims); err != nil {
			if syntax := (*json.SyntaxError)(nil); errors.As(err, &syntax) {
				return fmt.Errorf("--jwt-claims is no JSON object: %w", err)
			}
			return errors.New(`--jwt-claims is no JSON object; write one, such as {"iss":"https://issuer.example","sub":"ann"}`)
		}
	}
	answers, err := a.answers(c)
	if err != nil {
		return err
	}
	if a.output != "text" {
		return usage.Print(c.OutOrStdout(), a.output, answers)
	}
	for i := range answers {
		if i > 0 {
			fmt.Fprintln(c.OutOrStdout())
		}
		if err := printExplanation(c.OutOrStdout(), &answers[i]); err != nil {
			return err
		}
	}
	return nil
}

func (a *asking) answers(c *cobra.Command) (answers []explain.Explanation, err error) {
	if len(a.paths) == 0 {
		return answers, ask(c.Context(), a.gateways.all()[0], "/debug/explain", a.query, &answers)
	}
	t, err := manifestTable(c, a.paths, false)
	if err != nil {
		return nil, err
	}
	return explain.Offline(t, a.query)
}

func printExplanation(out io.Writer, e *explain.Explanation) error {
	fmt.Fprintf(out, "gateway %s: ", e.Gateway)
	switch {
	case e.Apart != "":
		fmt.Fprintf(out, "no connection, for the TLS handshake fails: %s\n", e.Apart)
	case e.Forward:
		fmt.Fprintln(out, "forwarded")
	case e.Detail != "":
		fmt.Fprintf(out, "answered %s: %s\n", verdict(&e.Record), e.Detail)
	default:
		fmt.Fprintf(out, "answered %s\n", verdict(&e.Record))
	}
	if err := printJudgement(out, &e.Record); err != nil {
		return err
	}
	for _, line := range [][2]string{{"certificate", e.Unseen}, {"rule", e.Match}} {
		if line[1] != "" {
			fmt.Fprintf(out, "%s: %s\n", line[0], line[1])
		}
	}
	for _, h := range e.Headers {
		fmt.Fprintf(out, "backend gets %s\n", h)
	}
	if len(e.Near) > 0 {
		fmt.Fprintln(out, "rules there are:")
	}
	for _, n := range e.Near {
		fmt.Fprintf(out, "  %s\n", n)
	}
	return nil
}
