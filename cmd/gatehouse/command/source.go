package command

import (
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/implied"
	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/notes"
	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/usage"
	"github.com/gatehouse-dev/gatehouse/controllers"
	"github.com/gatehouse-dev/gatehouse/controllers/attach"
	"github.com/gatehouse-dev/gatehouse/controllers/graph"
	"github.com/gatehouse-dev/gatehouse/controllers/manifests"
	"github.com/gatehouse-dev/gatehouse/controllers/watch"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// source is manifests on disk, read, checked and built on trial.
type source struct {
	paths   []string
	reader  *manifests.Reader
	config  control
	extra   func([]*manifests.Manifest) ([]controllers.Object, []manifests.Problem) // objects that are not on disk; may be nil
	trial   *trial
	name    string // the controllerName of classes that are ours
	ingress string // the controller of IngressClasses that are
}

// reading is what a source held at one time, and what it amounts to.
type reading struct {
	objects  []controllers.Object
	graph    *graph.Graph
	policies *attach.Policies
	table    *table.Table
	problems []manifests.Problem
	notes    []manifests.Problem // what is in order, and was probably not meant
}

func newSource(in io.Reader, controller, ingress string, addresses, paths []string) (*source, error) {
	if len(paths) == 0 {
		return nil, errors.New("say which manifests to read: --filename DIR or FILE, or - for standard input")
	}
	reader, err := manifests.NewReader(watch.Scheme())
	if err != nil {
		return nil, err
	}
	reader.Stdin = in
	config, err := newControl(controller, ingress, addresses)
	if err != nil {
		return nil, err
	}
	return &source{paths: paths, reader: reader, config: config, trial: newTrial(config), name: controller, ingress: ingress}, nil
}

// read reads and checks everything. What it returns is to be used only if it
// has no problems; the graph and table show what would come of it, and are nil where a
// manifest cannot be read.
func (s *source) read() reading {
	ms, problems := s.reader.Load(s.paths...)
	r := reading{problems: problems}
	unread := len(problems) > 0
	byName := map[string]*manifests.Manifest{}
	for _, m := range ms {
		r.objects = append(r.objects, m.Object)
		byName[m.Name()] = m
	}
	r.objects = append(r.objects, implied.By(r.objects, s.name, s.ingress)...)
	if s.extra != nil && !unread {
		made, problems := s.extra(ms)
		r.objects, r.problems = append(r.objects, made...), problems
	}
	r.graph, r.policies, r.table = s.trial.build(r.objects)
	for _, c := range controllers.Conditions(r.graph, r.policies) {
		if !c.Faulty() && !c.Noted() || unread && !c.Alone() { // what it misses may stand in what cannot be read
			continue
		}
		field, message := c.Field()
		p := manifests.Problem{Object: c.Object, Field: field, Message: message + " (" + c.Reason + ")"}
		if m := byName[c.Object]; m != nil {
			p.File, p.Line = m.File, m.Line(field)
		}
		to := &r.problems
		if c.Noted() {
			to = &r.notes
		}
		if !slices.Contains(*to, p) { // two parents often have the same fault
			*to = append(*to, p)
		}
	}
	if unread {
		return reading{problems: r.problems}
	}
	for _, p := range notes.Of(r.objects, time.Now()) {
		if m := byName[p.Object]; m != nil {
			p.File, p.Line = m.File, m.Line(p.Field)
		}
		r.notes = append(r.notes, p)
	}
	return r
}

// readAloud is read, and tells w every two seconds that it is still at it.
func (s *source) readAloud(w io.Writer) reading {
	return usage.Aloud(w, 2*time.Second, "reading and checking manifests", s.read)
}

// unserved says why r has nothing to serve, which is no fault: others' Gateways may be
// in the same folder. It is empty where r has something, or problems.
func (s *source) unserved(r reading) string {
	if len(r.problems) > 0 || len(r.graph.Gateways) > 0 {
		return ""
	}
	if s.reader.Files() == 0 {
		return "nothing is served: there is no file whose name ends in .yaml, .yml or .json in " + strings.Join(s.paths, ", ")
	}
	return "nothing is served, and what routes and policies would do is not checked: no Gateway and no Ingress here is of a class of ours. " +
		"A Gateway's is named " + implied.Class + ", or is a GatewayClass among the manifests with controllerName " + s.name
}

// listening are the listeners of r that serve, each with its port.
func (r *reading) listening() (all []string) {
	for _, g := range r.graph.Gateways {
		for _, l := range g.Listeners {
			if l.Serves {
				all = append(all, fmt.Sprintf("%s %s", l.Key.ID(), net.JoinHostPort(l.Address, strconv.Itoa(int(l.Spec.Port)))))
			}
		}
	}
	return all
}

// feed tells the pipeline how one reading differs from the last.
type feed struct {
	pipeline joined
	last     map[controllers.ObjectKey]controllers.Object
}

// apply has it all take effect at one time: no request finds half of it.
func (f *feed) apply(objects []controllers.Object) {
	var changed, gone []controllers.Object
	now := make(map[controllers.ObjectKey]controllers.Object, len(objects))
	for _, o := range objects {
		now[controllers.KeyOf(o)] = o
	}
	for n, o := range f.last {
		if now[n] == nil {
			gone = append(gone, o)
		}
	}
	for n, o := range now {
		if f.last[n] != o { // the same file gives the same objects
			changed = append(changed, o)
		}
	}
	f.pipeline.Together(changed, gone)
	f.last = now
}
