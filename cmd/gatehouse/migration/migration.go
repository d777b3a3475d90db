// Package migration is the command line of `gatehouse migrate`: it reads Ingresses
// from files or a cluster, and writes what controllers/migrate makes of them.
//
// cmd/gatehouse/command adds it to the others.
package migration

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/implied"
	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/usage"
	"github.com/gatehouse-dev/gatehouse/controllers/manifests"
	"github.com/gatehouse-dev/gatehouse/controllers/migrate"
	"github.com/gatehouse-dev/gatehouse/controllers/watch"
)

// ErrIncomplete is in the chain of the error of a migration that left something behind.
var ErrIncomplete = errors.New("not carried over")

// migrating is one run of the migrate command.
type migrating struct {
	connect    func(kubeconfig string) (*rest.Config, error)
	paths      []string
	kubeconfig string
	gateway    string
	class      string
	only       string // the class of the Ingresses
	output     string
	folder     string
	report     string
}

// New returns the command. connect finds an API server by a kubeconfig, which may
// be empty; namespace is that of the Gateway unless a flag says otherwise.
func New(connect func(kubeconfig string) (*rest.Config, error), namespace string) *cobra.Command {
	m := &migrating{connect: connect}
	c := &cobra.Command{
		Use:   "migrate",
		Short: "Turn Ingresses with the annotations of ingress-nginx into Gateway API objects and policies",
		Long: `Migrate reads Ingresses, and the Services whose ports they name, from manifests or, without
--filename, from a cluster. It writes a Gateway, HTTPRoutes and policies that do what they did, and an
account of each thing they ask for: carried, carried with a difference, or not carried and what to do.
It changes nothing in the cluster.

What cannot be carried over and kept callers out closes the routes until somebody has seen to it.

It exits with 0 when all was carried over, with 3 when something was not, and with 1 when the input
cannot be read.`,
		Example: "  gatehouse migrate -f ingresses/ > gateway.yaml\n  kubectl get ingress,service -A -o yaml | gatehouse migrate -f - --output-dir migrated --report json\n" +
			"  gatehouse migrate --kubeconfig ~/.kube/config --ingress-class nginx --gateway infra/edge",
		Args: usage.Exactly(),
		RunE: func(c *cobra.Command, _ []string) error { return m.run(c) },
	}
	f := c.Flags()
	f.StringSliceVarP(&m.paths, "filename", "f", nil, "manifest file, or folder of them, to read, or - for standard input; without it a cluster is read")
	_ = c.MarkFlagFilename("filename", "yaml", "yml", "json")
	f.StringVar(&m.kubeconfig, "kubeconfig", "", "how to reach the API server; default: KUBECONFIG, or ~/.kube/config")
	f.StringVar(&m.only, "ingress-class", "", "migrate the Ingresses of this class; empty for all")
	f.StringVar(&m.gateway, "gateway", namespace+"/ingress", "namespace/name of the Gateway to write and attach everything to")
	f.StringVar(&m.class, "gateway-class", implied.Class, "its gatewayClassName")
	f.StringVarP(&m.output, "output", "o", "yaml", "form of the manifests: yaml or json")
	usage.Choices(c, "output", "yaml", "json")
	f.StringVar(&m.folder, "output-dir", "", "folder to write them to, a file each; default: standard output")
	_ = c.MarkFlagDirname("output-dir")
	f.StringVar(&m.report, "report", "text", "form of the account, on standard error: text or json")
	return c
}

func (m *migrating) run(c *cobra.Command) error {
	namespace, name, ok := strings.Cut(m.gateway, "/")
	switch {
	case !ok || len(validation.IsDNS1123Label(namespace)) > 0 || len(validation.IsDNS1123Subdomain(name)) > 0:
		return fmt.Errorf("--gateway %q: write namespace/name, as Kubernetes names objects", m.gateway)
	case m.output != "yaml" && m.output != "json":
		return fmt.Errorf("--output %q: use yaml or json", m.output)
	case m.report != "text" && m.report != "json":
		return fmt.Errorf("--report %q: use text or json", m.report)
	}
	in := migrate.Input{Gateway: types.NamespacedName{Namespace: namespace, Name: name}, Class: m.class}
	var err error
	if len(m.paths) > 0 {
		err = m.files(c, &in)
	} else {
		err = m.cluster(c.Context(), &in)
	}
	if err != nil {
		return err
	}
	classes := classesOf(in.Ingresses)
	in.Ingresses = slices.DeleteFunc(in.Ingresses, func(i *networkingv1.Ingress) bool { return m.only != "" && classOf(i) != m.only })
	switch {
	case len(in.Ingresses) > 0:
	case len(classes) > 0:
		return fmt.Errorf("no Ingress of class %q was found; there are some of %s", m.only, strings.Join(classes, ", "))
	default:
		return errors.New("no Ingress was found")
	}
	out := migrate.Migrate(in)
	if err := errors.Join(m.write(c.OutOrStdout(), out.Objects), m.account(c.ErrOrStderr(), out.Account)); err != nil {
		return err
	}
	if !out.Complete() {
		c.SilenceErrors = m.report == "json" // the account is for programs then, and the exit code says the rest
		return fmt.Errorf("some of it was %w; see the account", ErrIncomplete)
	}
	return nil
}

// classesOf are the classes of Ingresses, quoted, each once.
func classesOf(all []*networkingv1.Ingress) (classes []string) {
	for _, i := range all {
		classes = append(classes, strconv.Quote(classOf(i)))
	}
	slices.Sort(classes)
	return slices.Compact(classes)
}

func classOf(i *networkingv1.Ingress) string {
	if name := i.Annotations["kubernetes.io/ingress.class"]; name != "" || i.Spec.IngressClassName == nil {
		return name
	}
	return *i.Spec.IngressClassName
}

// files reads manifests.
func (m *migrating) files(c *cobra.Command, in *migrate.Input) error {
	reader, err := manifests.NewReader(watch.Scheme())
	if err != nil {
		return err
	}
	reader.Stdin = c.InOrStdin()
	all, problems := reader.Load(m.paths...)
	for _, p := range problems {
		fmt.Fprintln(c.ErrOrStderr(), p)
	}
	if len(problems) > 0 {
		return fmt.Errorf("%d problem(s) in the manifests; nothing is migrated", len(problems))
	}
	for _, one := range all {
		switch o := one.Object.(type) {
		case *networkingv1.Ingress:
			in.Ingresses = append(in.Ingresses, o)
		case *corev1.Service:
			in.Services = append(in.Services, o)
		}
	}
	return nil
}

// cluster reads what there is.
func (m *migrating) cluster(ctx context.Context, in *migrate.Input) error {
	config, err := m.connect(m.kubeconfig)
	if err != nil {
		return err
	}
	c, err := client.New(config, client.Options{Scheme: watch.Scheme()})
	if err != nil {
		return fmt.Errorf("reaching the API server: %w", err)
	}
	var ingresses networkingv1.IngressList
	var services corev1.ServiceList
	if err := errors.Join(c.List(ctx, &ingresses), c.List(ctx, &services)); err != nil {
		return fmt.Errorf("reading Ingresses and Services: %w", err)
	}
	for i := range ingresses.Items {
		in.Ingresses = append(in.Ingresses, &ingresses.Items[i])
	}
	for i := range services.Items {
		in.Services = append(in.Services, &services.Items[i])
	}
	return nil
}

// write writes the objects to out, or to files.
func (m *migrating) write(out io.Writer, objects []migrate.Object) error {
	form := migrate.YAML
	if m.output == "json" {
		form = migrate.JSON
	}
	if m.folder == "" {
		text, err := form(objects)
		if err == nil {
			_, err = out.Write(text)
		}
		return err
	}
	if err := os.MkdirAll(m.folder, 0o755); err != nil {
		return err
	}
	for _, o := range objects {
		text, err := form([]migrate.Object{o})
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(m.folder, migrate.File(o)+"."+m.output), text, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (m *migrating) account(out io.Writer, entries []migrate.Entry) error {
	if m.report == "json" {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		return e.Encode(append([]migrate.Entry{}, entries...)) // [], not null
	}
	for _, e := range entries {
		if _, err := fmt.Fprintln(out, e); err != nil {
			return err
		}
	}
	return nil
}
