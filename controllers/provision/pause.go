package provision

import (
	"fmt"
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gatehouse-dev/gatehouse/controllers/store"
)

// key names an object that is written, or deleted: one that is made again and again
// is deleted as often. Reading them all goes by the zero key.
type key struct {
	kind string
	types.NamespacedName
	gone bool
}

func keyOf(o client.Object, gone bool) key {
	kind := "EndpointSlice"
	if _, is := o.(*corev1.Service); is {
		kind = "Service"
	}
	return key{kind, nameOf(o), gone}
}

// attempt is the last write of an object, whatever came of it.
type attempt struct {
	want, found client.Object // as it was to become, and as it was; nil for none
	at          time.Time
	wait        time.Duration // until the same is written again
	done        int           // how often the same could be written
	err         error         // why it could not the last time
}

// pauses keep the Writer from writing the same again and again: what the API server
// refuses, and what somebody else changes back as often as it is written.
type pauses struct {
	first, longest time.Duration // what is written once more waits so long, then ever longer
	last           map[key]attempt
}

// due is when an object may be written. What is to become something else than last time
// may be at once: endpoints that come and go do not wait for a quarrel about those before.
// So may what failed because the object was not as it had been read, once it is read anew.
// If that to which callers are led was changed to something new, the pause is short.
func (p *pauses) due(k key, want, found client.Object) time.Time {
	last, ok := p.last[k]
	if !ok || !sameWish(last.want, want) || overtaken(last.err) && versionOf(last.found) != versionOf(found) {
		return time.Time{}
	}
	wait := last.wait
	if !equality.Semantic.DeepEqual(leads(last.found), leads(found)) {
		wait = min(wait, 4*p.first)
	}
	return last.at.Add(wait)
}

// note remembers a write, and returns how often the same could be written by now.
func (p *pauses) note(k key, want, found client.Object, err error) int {
	next := attempt{want: want, found: found, at: time.Now(), wait: p.first, err: err}
	if last, ok := p.last[k]; ok && sameWish(last.want, want) {
		next.wait, next.done = min(2*last.wait, p.longest), last.done
	}
	if err == nil {
		next.done++
	}
	p.last[k] = next
	return next.done
}

// forget drops what is too long ago to count.
func (p *pauses) forget(now time.Time) {
	maps.DeleteFunc(p.last, func(_ key, a attempt) bool { return now.Sub(a.at) > 2*p.longest })
}

// versionOf is that of an object, "" for none.
func versionOf(o client.Object) string {
	if o == nil {
		return ""
	}
	return o.GetResourceVersion()
}

// sameWish says whether two writes ask for the same. What the API server keeps of an
// object beside that, such as its version, differs from one to the next.
func sameWish(a, b client.Object) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return equality.Semantic.DeepEqual(leads(a), leads(b)) && maps.Equal(a.GetLabels(), b.GetLabels()) &&
		maps.Equal(a.GetAnnotations(), b.GetAnnotations()) && equality.Semantic.DeepEqual(a.GetOwnerReferences(), b.GetOwnerReferences())
}

// leads is that part of an object by which callers are led.
func leads(o client.Object) any {
	switch o := o.(type) {
	case *corev1.Service:
		return o.Spec
	case *discoveryv1.EndpointSlice:
		return [2]any{o.Endpoints, o.Ports}
	}
	return nil
}

// contested is how often the same can be written before the user is told that somebody
// else keeps changing it. Once or twice a person may have.
const contested = 4

// tell tells that. The Event is about the Gateway, which is where users look.
func (w *Writer) tell(k key, o client.Object) {
	w.opts.Log.Info("another writer keeps changing an object; it is written ever more rarely. Has another installation the same controllerName?",
		"kind", k.kind, "object", k.NamespacedName)
	owner := metav1.GetControllerOf(o)
	if owner == nil {
		return
	}
	about := &metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{APIVersion: owner.APIVersion, Kind: owner.Kind}}
	about.Name, about.UID = owner.Name, owner.UID
	if owner.Kind == string(store.Gateway) { // the other owners are in no namespace
		about.Namespace = o.GetNamespace()
	}
	w.opts.Event(about, "Contested", fmt.Sprintf("another writer keeps changing %s %s, and gatehouse changes it back ever more rarely: "+
		"give each installation a controllerName of its own, or stop that writer", k.kind, k.NamespacedName))
}
