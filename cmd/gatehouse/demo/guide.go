package demo

import (
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"

	"github.com/gatehouse-dev/gatehouse/proxy/table"
)

// apiKey is the key whose hash stands in the quickstart's keys.yaml.
const apiKey = "quickstart-key-everybody-knows"

// lesson is one thing to try on one route.
type lesson struct {
	route string // table.Action.Route; the lesson is left out where there is none
	says  string
	tries []try
}

// try is a command for a shell and what it prints: a status, and a part of the
// content with its blanks taken out. One without an answer prints nothing.
type try struct{ command, answer string }

// Guide prints what t serves, and commands to try on it with the answers they
// will get. Lessons about routes that t lacks are left out.
func (d *Demo) Guide(w io.Writer, t *table.Table) error {
	var b strings.Builder
	plain, encrypted := bases(t)
	b.WriteString("\nGatehouse serves\n")
	for _, l := range t.Listeners {
		fmt.Fprintf(&b, "  %-26s listener %s, %d host(s)\n", base(l), l.ID, len(l.Hosts))
	}
	lessons, err := d.lessons(plain, encrypted)
	if err != nil {
		return err
	}
	b.WriteString("\nTry, in another terminal:\n")
	n, has := 0, routes(t)
	for _, l := range lessons {
		if !has[l.route] {
			continue
		}
		n++
		fmt.Fprintf(&b, "%2d. %s\n", n, l.says)
		for _, t := range l.tries {
			fmt.Fprintf(&b, "    %s\n", t.command)
			if t.answer != "" {
				fmt.Fprintf(&b, "      -> %s\n", t.answer)
			}
		}
	}
	if issuer := d.issuerAddress(); issuer != "" {
		fmt.Fprintf(&b, "\nTokens last %d minutes; another: curl -s 'http://%s/token?sub=ada&scope=account.write'\n", int(tokenLifetime.Minutes()), issuer)
	}
	b.WriteString("Edit a manifest and try again: changes are served at once. Ctrl-C ends it.\n\n")
	_, err = io.WriteString(w, b.String())
	return err
}

// lessons are the quickstart's, in the order in which they are told. Those that
// need a listener which is not there are left out.
func (d *Demo) lessons(plain, encrypted string) (all []lesson, err error) {
	if plain != "" {
		token := ""
		if d.issuerAddress() != "" {
			if token, err = d.Token("ada", map[string]any{"scope": "account.read"}); err != nil {
				return nil, err
			}
		}
		all = lessonsFor(plain, token)
	}
	if encrypted != "" {
		all = append(all, lesson{"HTTPRoute shop/site", "The same over TLS; the certificate is made up, hence -k.", []try{
			{"curl -ik " + encrypted + "/", `200 "service":"site"`},
		}})
	}
	return all, nil
}

func lessonsFor(url, token string) []lesson {
	order := func(json string) string {
		return "curl -i " + url + "/orders -H 'Content-Type: application/json' -d '" + json + "'"
	}
	return []lesson{
		{"HTTPRoute shop/site", "An open route.", []try{
			{"curl -i " + url + "/", `200 "service":"site"`},
		}},
		{"HTTPRoute shop/partners", "A route for partners with an API key.", []try{
			{"curl -i " + url + "/partners", `401 "code":"auth_missing"`},
			{"curl -i " + url + "/partners -H 'X-API-Key: " + apiKey + "'", `200 "x-partner":"acme"`},
		}},
		{"HTTPRoute shop/account", "A route for customers with a token; it may read, not write.", []try{
			{command: "TOKEN=" + token},
			{`curl -i ` + url + `/account -H "Authorization: Bearer $TOKEN"`, `200 "x-user":"ada"`},
			{`curl -i -X DELETE ` + url + `/account -H "Authorization: Bearer $TOKEN"`, `403 "code":"forbidden_by_rule"`},
		}},
		{"HTTPRoute shop/orders", "An order with two faults, and one without.", []try{
			{order(`{"item": "", "quantity": 0}`), `422 "/quantity"`},
			{order(`{"item": "tea", "quantity": 2}`), `200 "service":"orders"`},
		}},
		{"HTTPRoute shop/api", "One request in ten goes to the new version.", []try{
			{"for i in $(seq 100); do curl -s " + url + `/api; done | grep '"service"' | sort | uniq -c`, `about 90 "api", 10 "api-canary"`},
		}},
		{"HTTPRoute shop/slow", "A backend that takes three seconds, and is given one.", []try{
			{"curl -i " + url + "/slow", `504 "code":"request_timeout"`},
		}},
	}
}

// bases returns the URLs of the first plain and the first encrypted listener,
// empty where there is none.
func bases(t *table.Table) (plain, encrypted string) {
	for _, l := range t.Listeners {
		switch {
		case l.Protocol == table.HTTP && plain == "":
			plain = base(l)
		case l.Protocol == table.HTTPS && encrypted == "":
			encrypted = base(l)
		}
	}
	return plain, encrypted
}

func base(l *table.Listener) string {
	host := l.Address
	if host == "" {
		host = "localhost"
	}
	return strings.ToLower(string(l.Protocol)) + "://" + net.JoinHostPort(host, strconv.Itoa(int(l.Port)))
}

func routes(t *table.Table) map[string]bool {
	has := map[string]bool{}
	for _, l := range t.Listeners {
		for _, h := range l.Hosts {
			for _, r := range h.Rules {
				has[r.Action.Route] = true
			}
		}
	}
	return has
}
