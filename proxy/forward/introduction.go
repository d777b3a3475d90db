package forward

import (
	"net/netip"

	"github.com/gatehouse-dev/gatehouse/proxy/exchange"
	"github.com/gatehouse-dev/gatehouse/proxy/mem"
	"github.com/gatehouse-dev/gatehouse/proxy/wire"
)

// introduce tells the backend who asked, by the de facto fields X-Forwarded-For, -Proto
// and -Host. It returns their lines, to be sent as they are, or adds them to the request
// and returns none.
func (t *transfer) introduce() (lines string) {
	if told(t.x.Request.Header) || !t.introduction.fits(t.x) {
		t.tell()
		return ""
	}
	return t.introduction.text
}

// tell is introduce where one of the fields has come, or cannot be sent as it is.
func (t *transfer) tell() {
	x := t.x
	h := &x.Request.Header
	peer := x.Conn.Peer.Addr().Unmap()
	trusted := t.f.cfg.Trusted.Contains(peer)
	h.DropSpelt(ours)
	if !trusted {
		h.DropSpelt(mounts)
	}
	from := mem.String(peer.AppendTo(x.Arena.Alloc(64)[:0]))
	const name = "x-forwarded-for"
	if before, ok := h.Get(name); ok {
		if h.Count(name) > 1 {
			before = joined(x, name)
		}
		from = x.Arena.Concat(before, ", ", from)
	}
	h.Set(name, from)
	if _, ok := h.Get("x-forwarded-proto"); !ok || !trusted {
		h.Set("x-forwarded-proto", x.Request.Scheme)
	}
	if _, ok := h.Get("x-forwarded-host"); !ok || !trusted {
		h.Set("x-forwarded-host", x.Request.Authority)
	}
}

// introduction is the fields of a request that has none of them. Most requests get
// those of the one before.
type introduction struct {
	peer        netip.Addr
	tls         bool
	proto, host int32  // where their lines begin
	authority   string // a view of text
	text        string // of buf
	buf         []byte
}

const forwardedFor, forwardedProto, forwardedHost = "x-forwarded-for: ", "x-forwarded-proto: ", "x-forwarded-host: "

// fits makes n the introduction of x. It reports false where that cannot be sent as it is.
func (n *introduction) fits(x *exchange.Exchange) bool {
	if n.peer == x.Conn.Peer.Addr() && n.tls == x.Conn.TLS && n.authority == x.Request.Authority && n.text != "" {
		return true
	}
	return wire.Text(x.Request.Authority) && n.make(x)
}

func (n *introduction) make(x *exchange.Exchange) bool {
	const end = "\r\n"
	b := append(n.buf[:0], forwardedFor...)
	b = x.Conn.Peer.Addr().Unmap().AppendTo(b)
	b = append(b, end+forwardedProto...)
	n.proto = int32(len(b) - len(forwardedProto))
	b = append(b, x.Request.Scheme...)
	b = append(b, end+forwardedHost...)
	n.host = int32(len(b) - len(forwardedHost))
	b = append(b, x.Request.Authority...)
	b = append(b, end...)
	n.peer, n.tls, n.text, n.buf = x.Conn.Peer.Addr(), x.Conn.TLS, mem.String(b), b
	n.authority = n.text[int(n.host)+len(forwardedHost) : len(b)-len(end)]
	return true
}

// add adds the fields to h, good until the exchange ends.
func (n *introduction) add(h *exchange.Header) {
	addLine(h, n.text[:n.proto], len(forwardedFor))
	addLine(h, n.text[n.proto:n.host], len(forwardedProto))
	addLine(h, n.text[n.host:], len(forwardedHost))
}

// addLine adds the field whose line is text and whose value begins at that byte.
func addLine(h *exchange.Header, text string, value int) {
	h.AddLine(text[:value-2], text[value:len(text)-2], text)
}

// ours are the fields that introduce and tell set, and those that frame a request,
// which nobody but the connection's protocol may: some backends go by Transfer_Encoding.
var ours = []string{"x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "transfer-encoding", "content-length"}

// mounts are what parts a path for programs of WSGI, spelt with a hyphen. Gunicorn goes by
// SCRIPT_NAME and PATH_INFO where it trusts its peer: with /x as the former, /x/admin leads
// to /admin.
var mounts = []string{"script-name", "path-info"}

// told reports whether a proxy before us, or the client, has set one of these fields,
// or one that a backend could take for it.
func told(h exchange.Header) bool {
	for i := range h {
		// X-Forwarded- or X_Forwarded_ or X.Forwarded., and another word
		name := h[i].Name
		if len(name) > 12 && exchange.Mark(name[11]) && mem.EqualFold(name[2:11], "forwarded") {
			return true
		}
		if i := hyphens[min(len(name), len(hyphens)-1)]; i > 0 && unhyphened(name[i]) {
			return true
		}
	}
	return false
}

// hyphens is where the others have theirs, by their length.
var hyphens = [...]byte{len("path_info"): 4, len("script_name"): 6, len("content_length"): 7, len("transfer_encoding"): 8, 18: 0}

// unhyphened reports whether c may be taken for the hyphen that it is not.
func unhyphened(c byte) bool { return c != '-' && exchange.Mark(c) }

// joined returns the values of all field lines of name as one list.
func joined(x *exchange.Exchange, name string) string {
	all := ""
	for _, f := range x.Request.Header {
		switch {
		case !mem.EqualFold(f.Name, name):
		case all == "":
			all = f.Value
		default:
			all = x.Arena.Concat(all, ", ", f.Value)
		}
	}
	return all
}
