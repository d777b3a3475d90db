package golden

import (
	"flag"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gatehouse-dev/gatehouse/api/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/controllers/compile"
	"github.com/gatehouse-dev/gatehouse/controllers/manifests"
	"github.com/gatehouse-dev/gatehouse/controllers/store"
	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

var (
	oddSeed  = flag.Uint64("odd-seed", 1, "seed of TestOddObjects")
	oddFiles = flag.Int("odd-files", 25, "how many times TestOddObjects takes the objects of a file")
)

// TestOddObjects bends the objects of the other tests at random, into what a schema would
// refuse too. Whatever they say: nothing panics, builds after a change make what a first
// build makes, and no rule is open that only policies reach which ask who is calling.
func TestOddObjects(t *testing.T) {
	files, reader, of := stage(t, "testdata/*.txtar")
	reader.Unruled = true // as in TestGolden
	r := rand.New(rand.NewPCG(*oddSeed, *oddSeed))
	for range *oddFiles {
		file := files[r.IntN(len(files))]
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all, _ := reader.Parse(file, section(archive, "cluster.yaml"))
		of.services = r.IntN(2) == 0
		oddObjects(t, of, all, &bender{r: r, words: []string{"", "a", "*", "/", "%", "*.", "true", "1h", "\x00"}})
	}
}

// oddObjects puts objects into a store, then bends or removes one after the other.
func oddObjects(t *testing.T, of config, all []*manifests.Manifest, b *bender) {
	t.Helper()
	s, graphs, policies, compiler := store.New(), of.graphs(), of.policies(), compile.New()
	for _, m := range all {
		s.Apply(m.Object)
		b.read(reflect.ValueOf(m.Object))
	}
	for range 2 * len(all) {
		m := all[b.r.IntN(len(all))]
		if b.r.IntN(8) == 0 {
			s.Delete(kindOf(m), types.NamespacedName{Namespace: m.Object.GetNamespace(), Name: m.Object.GetName()})
		} else {
			odd := m.Object.DeepCopyObject()
			for range 1 + b.r.IntN(4) {
				b.bend(reflect.ValueOf(odd), 0)
			}
			odd.(metav1.Object).SetNamespace(m.Object.GetNamespace()) // which a kind has or not
			s.Apply(odd.(metav1.Object))
		}
		g := graphs.Build(s)
		p := policies.Build(s, g)
		got := compiler.Compile(g, p)
		if b.r.IntN(4) > 0 {
			continue
		}
		full := of.graphs().Build(s)
		reached := of.policies().Build(s, full)
		if want := compile.New().Compile(full, reached); got.Hash() != want.Hash() || status(g, p) != status(full, reached) {
			t.Fatalf("seed %d, after %s of %s: got:\n%s%s\nwant:\n%s%s", *oddSeed, m.Name(), m.File, got.Text(), status(g, p), want.Text(), status(full, reached))
		}
		for _, rule := range open(s, got) {
			t.Errorf("seed %d, after %s of %s: %s is open", *oddSeed, m.Name(), m.File, rule)
		}
	}
}

// bender changes values at random.
type bender struct {
	r     *rand.Rand
	words []string // that texts become
}

// read takes the words of a value.
func (b *bender) read(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			b.read(v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				b.read(v.Field(i))
			}
		}
	case reflect.Slice:
		for i := 0; i < v.Len() && v.Type().Elem().Kind() != reflect.Uint8; i++ {
			b.read(v.Index(i))
		}
	case reflect.Map:
		for _, k := range v.MapKeys() {
			b.read(k)
			b.read(v.MapIndex(k))
		}
	case reflect.String:
		if s := v.String(); len(s) < 60 && !slices.Contains(b.words, s) {
			b.words = append(b.words, s)
		}
	}
}

// bend changes something of v, if it finds something.
func (b *bender) bend(v reflect.Value, depth int) {
	switch v.Kind() {
	case reflect.Pointer:
		switch {
		case v.IsNil() && b.r.IntN(4) == 0:
			v.Set(reflect.New(v.Type().Elem()))
		case v.IsNil():
		case depth > 0 && b.r.IntN(12) == 0:
			v.SetZero()
		default:
			b.bend(v.Elem(), depth+1)
		}
	case reflect.Struct:
		if n := v.NumField(); n > 0 {
			field := v.Type().Field(b.r.IntN(n))
			for depth <= 1 && (field.Name == "TypeMeta" || field.Name == "Status" || field.Name == "ObjectMeta" && b.r.IntN(4) > 0) {
				field = v.Type().Field(b.r.IntN(n))
			}
			if field.IsExported() {
				b.bend(v.FieldByIndex(field.Index), depth+1)
			}
		}
	case reflect.Slice:
		b.slice(v, depth)
	case reflect.Map:
		b.entry(v, depth)
	case reflect.String:
		v.SetString(b.words[b.r.IntN(len(b.words))])
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt([]int64{0, -1, 1, 80, 443, 8080, 65535, 65536, 1<<31 - 1, -1 << 31}[b.r.IntN(10)])
	case reflect.Bool:
		v.SetBool(!v.Bool())
	}
}

func (b *bender) slice(v reflect.Value, depth int) {
	own := v.Slice3(0, v.Len(), v.Len()) // with no room, so that appending copies
	switch n := b.r.IntN(10); {
	case n == 0:
		v.SetZero()
	case n == 1 && v.Len() > 0:
		v.Set(reflect.AppendSlice(own, v.Slice(0, 1)))
	case n == 2:
		v.Set(reflect.Append(own, reflect.Zero(v.Type().Elem())))
	case v.Len() > 0:
		b.bend(v.Index(b.r.IntN(v.Len())), depth+1)
	}
}

// entry changes, adds or removes an entry of a map of texts to something.
func (b *bender) entry(v reflect.Value, depth int) {
	if v.IsNil() {
		v.Set(reflect.MakeMap(v.Type()))
	}
	key := reflect.ValueOf(b.words[b.r.IntN(len(b.words))]).Convert(v.Type().Key())
	if keys := v.MapKeys(); len(keys) > 0 && b.r.IntN(4) > 0 {
		slices.SortFunc(keys, func(x, y reflect.Value) int { return strings.Compare(x.String(), y.String()) })
		key = keys[b.r.IntN(len(keys))]
	}
	value := reflect.New(v.Type().Elem()).Elem()
	if was := v.MapIndex(key); was.IsValid() {
		if b.r.IntN(4) == 0 {
			v.SetMapIndex(key, reflect.Value{})
			return
		}
		value.Set(was)
	}
	b.bend(value, depth+1)
	v.SetMapIndex(key, value)
}

// open names the rules that ask nobody who is calling, though all AuthPolicies on their
// path, of which there are some, have authentication. It reads specs and the table alone.
func open(s *store.Store, t *table.Table) (rules []string) {
	some, all := map[string]bool{}, map[string]bool{} // by target: some policy, and all of them have authentication
	for _, p := range s.Read().AuthPolicies() {
		for _, ref := range p.Spec.TargetRefs {
			at := string(ref.Kind) + " " + p.Namespace + "/" + string(ref.Name)
			if ref.SectionName != nil && *ref.SectionName != "" {
				at += " " + string(*ref.SectionName)
			}
			if ref.Group == gatewayv1.GroupName && p.Spec.Mode != v1alpha1.ModeShadow {
				asks := p.GetRules() != nil && len(p.GetRules().Authentication) > 0
				all[at] = asks && (all[at] || !some[at])
				some[at] = true
			}
		}
	}
	for _, l := range t.Listeners {
		id := strings.SplitN(l.ID, "/", 3)
		gateway := "Gateway " + id[0] + "/" + id[1]
		path := []string{gateway, gateway + " " + id[2]}
		if set := strings.Split(id[2], ":"); len(set) == 3 {
			in := "ListenerSet " + set[0] + "/" + set[1]
			path = []string{gateway, in, in + " " + set[2]}
		}
		for _, h := range l.Hosts {
			for _, r := range h.Rules {
				a := r.Action
				on := slices.DeleteFunc(append(slices.Clone(path), a.Route, a.Route+" "+a.Rule), func(at string) bool { return !some[at] })
				asks := a.Reply != nil || a.Auth != nil && (a.Auth.Closed != nil || len(a.Auth.Methods) > 0)
				if len(on) > 0 && !asks && !slices.ContainsFunc(on, func(at string) bool { return !all[at] }) {
					rules = append(rules, a.Route+" rule "+a.Rule+" on "+l.ID)
				}
			}
		}
	}
	return rules
}
