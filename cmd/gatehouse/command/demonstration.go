package command

import (
	"fmt"
	"io"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/demo"
	"github.com/gatehouse-dev/gatehouse/controllers"
	"github.com/gatehouse-dev/gatehouse/controllers/manifests"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// demonstration makes up what manifests need and a folder cannot hold: backends
// that run, and certificates that no file names.
type demonstration struct {
	demo *demo.Demo
	out  io.Writer
}

// newDemonstration begins one by demo.Start or demo.Pretend.
func newDemonstration(begin func([]*corev1.Service) (*demo.Demo, error), out io.Writer) (*demonstration, error) {
	d, err := begin(nil)
	if err != nil {
		return nil, fmt.Errorf("starting the demo: %w", err)
	}
	return &demonstration{d, out}, nil
}

// objects are what ms lack.
func (d *demonstration) objects(ms []*manifests.Manifest) (made []controllers.Object, problems []manifests.Problem) {
	var services []*corev1.Service
	have := map[types.NamespacedName]bool{}
	for _, m := range ms {
		switch o := m.Object.(type) {
		case *corev1.Service:
			services = append(services, o)
		case *corev1.Secret:
			have[types.NamespacedName{Namespace: o.Namespace, Name: o.Name}] = true
		}
	}
	if err := d.demo.Update(services); err != nil {
		problems = append(problems, manifests.Problem{Message: err.Error()})
	}
	for _, s := range d.demo.EndpointSlices() {
		made = append(made, s)
	}
	for _, m := range ms {
		gw, ok := m.Object.(*gatewayv1.Gateway)
		if !ok {
			continue
		}
		for _, name := range certificates(gw) {
			if !have[name] {
				have[name] = true
				made = append(made, d.demo.Secret(name.Namespace, name.Name))
			}
		}
	}
	return made, problems
}

// certificates are the Secrets that a Gateway's listeners name in its own namespace.
func certificates(gw *gatewayv1.Gateway) (names []types.NamespacedName) {
	for _, l := range gw.Spec.Listeners {
		if l.TLS == nil {
			continue
		}
		for _, ref := range l.TLS.CertificateRefs {
			if ref.Namespace == nil || string(*ref.Namespace) == gw.Namespace {
				names = append(names, types.NamespacedName{Namespace: gw.Namespace, Name: string(ref.Name)})
			}
		}
	}
	return names
}

// guide prints what is served and requests to try.
func (d *demonstration) guide(t *table.Table) error { return d.demo.Guide(d.out, t) }
