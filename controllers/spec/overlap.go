package spec

import (
	"math"
	"strings"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// Secured is what an HTTPS listener has to do with hosts, in lower case.
type Secured struct {
	Port  gatewayv1.PortNumber
	Host  string   // its own; "" for any
	Names []string // that its certificates are for
}

// NoOther says that no other listener overlaps.
const NoOther = math.MaxInt

// Overlaps is the first other listener on the port of each: by what their certificates are
// for, and by their own hosts; NoOther for none. A Gateway may have thousands, with a
// hundred names each: each is looked up, and none compared with all others.
func Overlaps(list []Secured) (names, hosts []int) {
	x := index{byName: firsts{}, byParent: firsts{}, byHost: firsts{}, below: firsts{}, all: firsts{}}
	for i := range list {
		x.add(i, &list[i])
	}
	for i := range list {
		names, hosts = append(names, x.certified(i, &list[i])), append(hosts, x.hosted(i, &list[i]))
	}
	return names, hosts
}

// index has the listeners by their port and a name.
type index struct {
	byName   firsts // a certificate's
	byParent firsts // what follows the first label of that
	byHost   firsts // their own
	below    firsts // what ends their own, from a dot on
	all      firsts // ""
}

type onPort struct {
	port gatewayv1.PortNumber
	name string
}

// firsts has the first two listeners of each key, counted from 1: each of all those that
// have it finds the first that is another.
type firsts map[onPort][2]int

func (f firsts) add(port gatewayv1.PortNumber, name string, i int) {
	k := onPort{port, name}
	at := f[k]
	switch {
	case at[0] == 0:
		at[0] = i + 1
	case at[0] == i+1 || at[1] != 0:
		return
	default:
		at[1] = i + 1
	}
	f[k] = at
}

// other is the first that is not i.
func (f firsts) other(port gatewayv1.PortNumber, name string, i int) int {
	for _, n := range f[onPort{port, name}] {
		if n != 0 && n != i+1 {
			return n - 1
		}
	}
	return NoOther
}

func (x *index) add(i int, l *Secured) {
	x.all.add(l.Port, "", i)
	x.byHost.add(l.Port, l.Host, i)
	endings(l.Host, func(end string) { x.below.add(l.Port, end, i) })
	for _, n := range l.Names {
		_, parent, _ := strings.Cut(n, ".")
		x.byName.add(l.Port, n, i)
		x.byParent.add(l.Port, parent, i)
	}
}

// certified finds another with a certificate that is for a host which one of l's is for. A
// wildcard stands for one label (RFC 9525, section 6.3).
func (x *index) certified(i int, l *Secured) int {
	best := NoOther
	for _, n := range l.Names {
		_, parent, _ := strings.Cut(n, ".")
		best = min(best, x.byName.other(l.Port, n, i), x.byName.other(l.Port, "*."+parent, i))
		if strings.HasPrefix(n, "*.") {
			best = min(best, x.byParent.other(l.Port, parent, i))
		}
	}
	return best
}

// hosted finds another that takes a host which l takes; see covers.
func (x *index) hosted(i int, l *Secured) int {
	if l.Host == "" || l.Host == anyHost {
		return x.all.other(l.Port, "", i)
	}
	best := min(x.byHost.other(l.Port, "", i), x.byHost.other(l.Port, anyHost, i), x.byHost.other(l.Port, l.Host, i))
	endings(l.Host, func(end string) { best = min(best, x.byHost.other(l.Port, "*"+end, i)) })
	if suffix, wildcard := strings.CutPrefix(l.Host, "*"); wildcard {
		best = min(best, x.below.other(l.Port, suffix, i))
	}
	return best
}

// endings visits what follows each label of a host, with its dot.
func endings(host string, visit func(string)) {
	for i := 1; i < len(host); i++ {
		if host[i] == '.' {
			visit(host[i:])
		}
	}
}
