package command

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/keytext"
	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/usage"
	"github.com/gatehouse-dev/gatehouse/controllers/keysecret"
	"github.com/gatehouse-dev/gatehouse/controllers/watch"
)

// keys is what the subcommands of key share.
type keys struct {
	kubeconfig string
	namespace  string
	dry        bool
	output     string
	now        func() time.Time
}

func newKey() *cobra.Command {
	k := &keys{now: time.Now}
	c := &cobra.Command{
		Use:   "key",
		Short: "Make, rotate, list and revoke API keys",
		Long: `Key manages the API keys that the apiKey method of AuthPolicies accepts. A key is a Secret with the
key's hash; the key itself is printed once, when it is made, and is kept nowhere.

Keys look like ghk_ and 49 letters and digits, the last six of them a checksum, so that scanners
for leaked secrets can tell one from chance: ghk_[0-9A-Za-z]{49}.`,
		Example: "  gatehouse key new acme -n shop --for orders\n  gatehouse key list -n shop",
	}
	f := c.PersistentFlags()
	f.StringVar(&k.kubeconfig, "kubeconfig", "", "how to reach the API server; default: the pod's service account, or KUBECONFIG, or ~/.kube/config")
	f.StringVarP(&k.namespace, "namespace", "n", "", "namespace of the Secrets, which is that of the AuthPolicy; default: the kubeconfig's")
	c.AddCommand(k.newNew(), k.newRotate(), k.newList(), k.newRevoke())
	return c
}

func (k *keys) newNew() *cobra.Command {
	var m made
	c := &cobra.Command{
		Use:   "new NAME",
		Short: "Make a key, and print it once",
		Example: `  gatehouse key new acme -n shop --for orders --subject acme --scopes orders.read,orders.write --expires 90d
  gatehouse key new acme -n shop --for orders --dry-run > acme.yaml   # the Secret; the key goes to standard error`,
		Args: usage.Exactly("NAME"),
		RunE: func(c *cobra.Command, args []string) error {
			m.name = args[0]
			text, err := keytext.New()
			if err != nil {
				return err
			}
			s, err := m.secret(text, k.now())
			if err != nil {
				return err
			}
			return k.create(c, s, text)
		},
	}
	f := c.Flags()
	f.StringVar(&m.purpose, "for", "", "value of the label gatehouse.dev/api-key, by which an AuthPolicy selects the key")
	f.StringToStringVar(&m.labels, "label", nil, "further label of the Secret, as name=value")
	f.StringVar(&m.subject, "subject", "", "who the holder is, as backends and rules see it; default: NAME")
	f.StringVar(&m.owner, "owner", "", "whom to ask about the key; rules see it as auth.metadata.owner")
	f.StringSliceVar(&m.scopes, "scopes", nil, "what the holder may do, as auth.claims.scopes")
	f.StringVar(&m.plan, "plan", "", "the holder's plan, as auth.claims.plan")
	f.StringVar(&m.notBefore, "not-before", "", "when the key begins to count: a time such as 2027-01-31T00:00:00Z, or from now such as 12h or 30d")
	f.StringVar(&m.expires, "expires", "", "when the key ceases to count: a time such as 2027-01-31T00:00:00Z, or from now such as 12h or 90d; default: never")
	k.addDryRun(c)
	return c
}

func (k *keys) newRotate() *cobra.Command {
	var grace string
	c := &cobra.Command{
		Use:   "rotate NAME",
		Short: "Make a second key for the same holder, and let the first expire",
		Long: `Rotate makes a Secret NAME-2 (-3 …) with a new key and everything else of NAME's, and sets NAME to
expire when --grace is over: until then both keys count. It refuses while more than one key of the
holder is live.`,
		Example: "  gatehouse key rotate acme -n shop --grace 7d",
		Args:    usage.Exactly("NAME"),
		RunE: func(c *cobra.Command, args []string) error {
			return k.rotate(c, args[0], grace)
		},
	}
	c.Flags().StringVar(&grace, "grace", "24h", "how long the old key goes on counting, such as 12h or 7d")
	k.addDryRun(c)
	return c
}

func (k *keys) newList() *cobra.Command {
	var all bool
	var purpose string
	c := &cobra.Command{
		Use:     "list",
		Short:   "List keys, whose they are and whether they count",
		Example: "  gatehouse key list -n shop\n  gatehouse key list --all-namespaces --for orders --output json",
		Args:    usage.Exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			return k.list(c, all, purpose)
		},
	}
	c.Flags().BoolVarP(&all, "all-namespaces", "A", false, "look in every namespace")
	c.Flags().StringVar(&purpose, "for", "", "only keys with this value of the label gatehouse.dev/api-key")
	usage.Output(c, &k.output)
	return c
}

func (k *keys) newRevoke() *cobra.Command {
	return &cobra.Command{
		Use:     "revoke NAME...",
		Short:   "Delete keys; every replica refuses them within a second",
		Example: "  gatehouse key revoke acme -n shop",
		Args:    usage.Between(1, -1, "NAME"),
		RunE: func(c *cobra.Command, args []string) error {
			api, err := k.client()
			if err != nil {
				return err
			}
			for _, name := range args {
				s, err := k.get(c.Context(), api, name)
				if err != nil {
					return err
				}
				if err := api.Delete(c.Context(), s); err != nil {
					return fmt.Errorf("revoking %s/%s: %w", k.namespace, name, err)
				}
				fmt.Fprintf(c.OutOrStdout(), "%s/%s is revoked\n", k.namespace, name)
			}
			return nil
		},
	}
}

func (k *keys) addDryRun(c *cobra.Command) {
	c.Flags().BoolVar(&k.dry, "dry-run", false, "print the Secret in place of writing it; the key goes to standard error")
}

// client reaches the API server, and settles the namespace.
func (k *keys) client() (client.Client, error) {
	loader := kubeconfig(k.kubeconfig)
	config, err := loader.ClientConfig()
	if clientcmd.IsEmptyConfig(err) {
		return nil, errNoCluster
	}
	if err != nil {
		return nil, fmt.Errorf("reaching the API server: %w", err)
	}
	if k.namespace == "" {
		if k.namespace, _, err = loader.Namespace(); err != nil {
			return nil, fmt.Errorf("reading the kubeconfig: %w", err)
		}
	}
	return client.New(config, client.Options{Scheme: watch.Scheme()})
}

// get reads a Secret that holds a key: others are none of this command's business.
func (k *keys) get(ctx context.Context, api client.Client, name string) (*corev1.Secret, error) {
	s := &corev1.Secret{}
	err := api.Get(ctx, client.ObjectKey{Namespace: k.namespace, Name: name}, s)
	switch {
	case apierrors.IsNotFound(err):
		return nil, fmt.Errorf("there is no key %s/%s; gatehouse key list shows what there is", k.namespace, name)
	case err != nil:
		return nil, fmt.Errorf("reading %s/%s: %w", k.namespace, name, err)
	}
	if _, labelled := s.Labels[keyLabel]; !labelled && s.Type != keyType {
		return nil, fmt.Errorf("secret %s/%s is no API key: it has neither the label %s nor the type %s", k.namespace, name, keyLabel, keyType)
	}
	return s, nil
}

// create writes s, or with --dry-run prints it, and prints the key.
func (k *keys) create(c *cobra.Command, s *corev1.Secret, text string) error {
	if k.dry {
		s.Namespace = k.namespace
		out, err := yaml.Marshal(s)
		if err != nil {
			return err
		}
		fmt.Fprintf(c.OutOrStdout(), "%s", out)
		fmt.Fprintf(c.ErrOrStderr(), "the key, which is shown only here: %s\n", text)
		return nil
	}
	api, err := k.client()
	if err != nil {
		return err
	}
	return k.write(c, api, s, text)
}

func (k *keys) write(c *cobra.Command, api client.Client, s *corev1.Secret, text string) error {
	s.Namespace = k.namespace
	err := api.Create(c.Context(), s)
	switch {
	case apierrors.IsAlreadyExists(err):
		return fmt.Errorf("secret %s/%s exists; choose another name, or rotate it", s.Namespace, s.Name)
	case err != nil:
		return fmt.Errorf("writing Secret %s/%s: %w", s.Namespace, s.Name, err)
	}
	fmt.Fprintf(c.ErrOrStderr(), "Secret %s/%s is written; its key, which is shown only here:\n", s.Namespace, s.Name)
	fmt.Fprintln(c.OutOrStdout(), text)
	return nil
}

func (k *keys) rotate(c *cobra.Command, name, grace string) error {
	until, err := keytext.Moment(grace, k.now())
	if err != nil {
		return fmt.Errorf("--grace: %w", err)
	}
	api, err := k.client()
	if err != nil {
		return err
	}
	old, err := k.get(c.Context(), api, name)
	if err != nil {
		return err
	}
	all := &corev1.SecretList{}
	if err := api.List(c.Context(), all, client.InNamespace(k.namespace), client.MatchingLabels(old.Labels)); err != nil {
		return fmt.Errorf("listing keys: %w", err)
	}
	next, err := successor(old, all.Items, k.now())
	if err != nil {
		return err
	}
	text, err := keytext.New()
	if err != nil {
		return err
	}
	setKey(next, text)
	if k.dry {
		return k.create(c, next, text)
	}
	// The new key first: should the second step fail, both count and nobody is locked out.
	if err := k.write(c, api, next, text); err != nil {
		return err
	}
	patch := client.MergeFrom(old.DeepCopy())
	expire(old, until)
	if err := api.Patch(c.Context(), old, patch); err != nil {
		return fmt.Errorf("the new key is written, but Secret %s/%s was not set to expire: %w", old.Namespace, old.Name, err)
	}
	fmt.Fprintf(c.ErrOrStderr(), "the key of %s/%s counts until %s\n", old.Namespace, old.Name, old.Annotations[keyAnnotation+"expires-at"])
	return nil
}

// listed is one key, as list shows it.
type listed struct {
	Namespace string   `json:"namespace"`
	Name      string   `json:"name"`
	For       string   `json:"for,omitempty"`
	Subject   string   `json:"subject"`
	Scopes    []string `json:"scopes,omitempty"`
	Plan      string   `json:"plan,omitempty"`
	State     string   `json:"state"` // "live", "expired", "not yet valid", or what is wrong
	NotBefore string   `json:"notBefore,omitempty"`
	Expires   string   `json:"expires,omitempty"`
}

func (k *keys) list(c *cobra.Command, all bool, purpose string) error {
	api, err := k.client()
	if err != nil {
		return err
	}
	options := []client.ListOption{client.HasLabels{keyLabel}}
	if purpose != "" {
		options = []client.ListOption{client.MatchingLabels{keyLabel: purpose}}
	}
	if !all {
		options = append(options, client.InNamespace(k.namespace))
	}
	secrets := &corev1.SecretList{}
	if err := api.List(c.Context(), secrets, options...); err != nil {
		return fmt.Errorf("listing keys: %w", err)
	}
	out := []listed{}
	for i := range secrets.Items {
		out = append(out, describe(&secrets.Items[i], k.now()))
	}
	slices.SortFunc(out, func(a, b listed) int { return strings.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name) })
	if k.output != "text" {
		return usage.Print(c.OutOrStdout(), k.output, out)
	}
	w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "KEY\tFOR\tSUBJECT\tPLAN\tSCOPES\tSTATE\tEXPIRES")
	for _, l := range out {
		fmt.Fprintf(w, "%s/%s\t%s\t%s\t%s\t%s\t%s\t%s\n", l.Namespace, l.Name, l.For, l.Subject, l.Plan, strings.Join(l.Scopes, " "), l.State, l.Expires)
	}
	return w.Flush()
}

// describe says whether a key counts; its hash is not shown.
func describe(s *corev1.Secret, now time.Time) listed {
	l := listed{Namespace: s.Namespace, Name: s.Name, For: s.Labels[keyLabel]}
	key, err := keysecret.ParseAPIKey(s)
	l.Subject, l.Scopes, l.Plan = key.Subject, key.Scopes, key.Plan
	if key.NotBefore != 0 {
		l.NotBefore = time.Unix(key.NotBefore, 0).UTC().Format(time.RFC3339)
	}
	if key.Expires != 0 {
		l.Expires = time.Unix(key.Expires, 0).UTC().Format(time.RFC3339)
	}
	switch {
	case err != nil:
		l.State = err.Error()
	case key.NotBefore > now.Unix():
		l.State = "not yet valid"
	case key.Expires != 0 && key.Expires <= now.Unix():
		l.State = "expired"
	default:
		l.State = "live"
	}
	return l
}

var errTwoLive = errors.New("more than one key of the holder is live already; revoke one first")
