package table

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// String prints what the policies ask for, and by which policy:
// "staff=jwt(https://issuer.example) rules=office by AuthPolicy shop/orders".
// With several sources, @n after a part is the number of its source.
func (a *Auth) String() string {
	if a.Closed != nil {
		return a.Closed.String() + by(a.Sources)
	}
	p := parts{many: len(a.Sources) > 1}
	if a.Public != nil {
		p.add(a.Public.Source, "public(%s)", a.Public)
	}
	for _, m := range a.Methods {
		p.add(m.Source, "%s=%s%s", m.Name, m, when(m.When))
	}
	if a.Require != "" {
		p.add(-1, "require=%q", a.Require)
	}
	for i := range a.Metadata {
		m := &a.Metadata[i]
		p.add(m.Source, "metadata %s=%s%s", m.Name, m, when(m.When))
	}
	for _, r := range a.Rules {
		mode := ""
		if r.Shadow {
			mode = " in shadow"
		}
		p.add(r.Source, "rule %s(%s)%s%s", r.Name, r, mode, when(r.When))
	}
	for _, h := range a.Headers {
		if h.CEL != "" {
			p.add(h.Source, "header %s=cel(%s)", h.Name, h.CEL)
		} else {
			p.add(h.Source, "header %s=%s", h.Name, word(h.Value))
		}
	}
	for i := range a.Credentials {
		c := &a.Credentials[i]
		p.add(c.Source, "credential %s=%s%s", c.Name, c, when(c.When))
	}
	if a.Unauthenticated != nil {
		p.add(-1, "unauthenticated %s", a.Unauthenticated)
	}
	if a.Denied != nil {
		p.add(-1, "denied %s", a.Denied)
	}
	if a.ForwardCredentials {
		p.add(-1, "forwards credentials")
	}
	return strings.Join(p.list, " ") + by(a.Sources)
}

// String prints why, and until when: "status page until 2027-01-31T00:00:00Z".
func (p *Public) String() string {
	if p.Expires == 0 {
		return p.Reason
	}
	return p.Reason + " until " + time.Unix(p.Expires, 0).UTC().Format(time.RFC3339)
}

// String prints how the method decides, and nothing secret:
// "jwt(https://issuer.example aud=orders)".
func (m AuthMethod) String() string {
	var out string
	switch {
	case m.Unavailable != "":
		return "unavailable(" + m.Unavailable + ")"
	case m.JWT != nil:
		out = "jwt(" + m.JWT.Issuer
		if len(m.JWT.Audiences) > 0 {
			out += " aud=" + strings.Join(m.JWT.Audiences, ",")
		}
	case m.APIKeys != nil:
		out = "apiKey(" + count(len(m.APIKeys.Keys), "key")
	case m.Basic != nil:
		out = "basic(" + count(len(m.Basic.Users), "user")
	case m.ClientCertificate != nil:
		return "clientCertificate(" + m.ClientCertificate.String() + ")"
	case m.OIDC != nil:
		return "oidc(" + m.OIDC.String() + ")"
	case m.Introspection != nil:
		out = "introspection(" + m.Introspection.String()
	case m.HMAC != nil:
		out = "hmac(" + m.HMAC.String()
	case m.Kubernetes != nil:
		out = "kubernetes(" + m.Kubernetes.String()
	case m.Anonymous:
		return "anonymous"
	default:
		return "nothing"
	}
	for _, f := range m.From {
		if s := f.String(); s != "header authorization Bearer" && s != "header authorization Basic" && s != "header x-api-key" {
			out += " from " + s
		}
	}
	return out + ")"
}

// String prints "any", or what it accepts: "san URI spiffe://a/*; cn orders".
func (c *ClientCertificate) String() string {
	if len(c.Match) == 0 {
		return "any"
	}
	out := make([]string, len(c.Match))
	for i, m := range c.Match {
		out[i] = m.String()
	}
	return strings.Join(out, "; ")
}

// String prints "san DNS orders.example & cn orders".
func (m CertificateMatch) String() string {
	var out []string
	if m.SAN != nil {
		out = append(out, "san "+string(m.SAN.Type)+" "+m.SAN.Value)
	}
	for _, p := range []struct{ what, value string }{{"subject", m.Subject}, {"cn", m.CommonName}, {"spki", m.SPKI}} {
		if p.value != "" {
			out = append(out, p.what+" "+p.value)
		}
	}
	return strings.Join(out, " & ")
}

// String prints "https://issuer.example client shop callback /oauth2/callback" and
// what else was asked for.
func (o *OIDC) String() string {
	out := o.Issuer + " client " + o.ClientID + " scopes=" + strings.Join(o.Scopes, ",") + " callback " + o.Paths.Callback
	for _, p := range []struct{ what, value string }{
		{"logout", o.Paths.Logout}, {"backchannel", o.Paths.Backchannel}, {"after", o.Paths.AfterLogout}, {"cookie", o.Session.Cookie},
	} {
		if p.value != "" {
			out += " " + p.what + " " + p.value
		}
	}
	if o.Paths.EndSession {
		out += " ends the provider's session"
	}
	out += fmt.Sprintf(" session %v idle %v", o.Session.Absolute, o.Session.Idle)
	if o.Session.Redis != nil {
		out += " redis " + o.Session.Redis.ID
	}
	if o.UserInfo {
		out += " userinfo"
	}
	if len(o.Audiences) > 0 {
		out += " aud=" + strings.Join(o.Audiences, ",")
	}
	for _, p := range o.Parameters {
		out += " " + p.Name + "=" + word(p.Value)
	}
	if o.Forward != nil {
		out += " token in " + CredentialSource{Header: o.Forward.Name, Scheme: o.Forward.Scheme}.String()
	}
	return out
}

// String prints "header authorization Bearer".
func (s CredentialSource) String() string {
	switch {
	case s.Cookie != "":
		return "cookie " + s.Cookie
	case s.Query != "":
		return "query " + s.Query
	case s.Scheme != "":
		return "header " + s.Header + " " + s.Scheme
	}
	return "header " + s.Header
}

// String prints what the rule allows: its expression, its networks, or the
// service it asks.
func (r AuthRule) String() string {
	var out []string
	for _, c := range r.Claims {
		out = append(out, c.String())
	}
	switch {
	case r.Unavailable != "":
		return "unavailable: " + r.Unavailable
	case r.OPA != nil:
		return r.OPA.String()
	case r.Kubernetes != nil:
		return r.Kubernetes.String()
	case r.External != nil:
		return r.External.String()
	case len(out) > 0:
		return strings.Join(out, " and ")
	case r.CIDRs == nil:
		return r.CEL
	}
	for _, p := range r.CIDRs.Allow {
		out = append(out, "allow "+p.String())
	}
	for _, p := range r.CIDRs.Deny {
		out = append(out, "deny "+p.String())
	}
	return strings.Join(out, " ")
}

// String prints "groups any of ops, dev".
func (c ClaimCondition) String() string {
	how := map[ClaimMatch]string{ClaimAny: "any", ClaimAll: "all", ClaimNone: "none"}[c.Match]
	return c.Claim + " " + how + " of " + strings.Join(c.Values, ", ")
}

// String prints the checks and the policies they came from.
func (v *Validation) String() string {
	if v.Closed != nil {
		return v.Closed.String() + by(v.Sources)
	}
	p := parts{many: len(v.Sources) > 1}
	for _, c := range v.Checks {
		p.add(c.Source, "%s(%s)", c.Name, c.demands())
	}
	return strings.Join(p.list, " ") + by(v.Sources)
}

func (c Check) demands() string {
	var out []string
	if len(c.Methods) > 0 {
		out = append(out, strings.Join(c.Methods, ","))
	}
	if c.MaxBodyBytes > 0 {
		out = append(out, "body<="+strconv.FormatInt(c.MaxBodyBytes, 10))
	}
	if len(c.ContentTypes) > 0 {
		out = append(out, "type="+strings.Join(c.ContentTypes, ","))
	}
	for _, p := range c.Headers {
		out = append(out, "header "+p.String())
	}
	for _, p := range c.Query {
		out = append(out, "query "+p.String())
	}
	if c.Schema != nil {
		out = append(out, fmt.Sprintf("schema %s %d bytes", c.Schema.ID, len(c.Schema.Document)))
	}
	return strings.Join(out, "; ")
}

// String prints "limit integer>=1<=100" with ! behind the name of a required one.
func (p Param) String() string {
	out := p.Name
	if p.Required {
		out += "!"
	}
	if p.Type != "" {
		out += " " + p.Type
	}
	if p.Minimum != nil {
		out += ">=" + strconv.FormatFloat(*p.Minimum, 'g', -1, 64)
	}
	if p.Maximum != nil {
		out += "<=" + strconv.FormatFloat(*p.Maximum, 'g', -1, 64)
	}
	if p.Pattern != "" {
		out += " ~" + word(p.Pattern)
	}
	if len(p.Enum) > 0 {
		out += " in " + strings.Join(p.Enum, ",")
	}
	return out
}

// parts collects what a policy says; many marks each part with its source.
type parts struct {
	many bool
	list []string
}

func (p *parts) add(source int, format string, args ...any) {
	s := fmt.Sprintf(format, args...)
	if p.many && source >= 0 {
		s += "@" + strconv.Itoa(source)
	}
	p.list = append(p.list, s)
}

func by(sources []Source) string {
	var out []string
	for i, s := range sources {
		number := ""
		if len(sources) > 1 {
			number = "@" + strconv.Itoa(i) + " "
		}
		out = append(out, number+s.Policy+when(s.When))
	}
	return " by " + strings.Join(out, ", ")
}

func when(conditions []string) string {
	if len(conditions) == 0 {
		return ""
	}
	return " when(" + strings.Join(conditions, " && ") + ")"
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}
