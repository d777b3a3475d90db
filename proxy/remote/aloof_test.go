package remote

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"
)

// The services of a node and of its cloud are not for policies.
func TestAddressesOfNodesAreNotAsked(t *testing.T) {
	if err := ask(t, nil, "169.254.169.254:1"); !errors.Is(err, errNode) {
		t.Error(err)
	}
	for _, host := range []string{
		"169.254.169.254", "[fe80::1]", "[fe80::1%lo]", "[::ffff:169.254.169.254]",
		"[fd00:ec2::254]", "[fd20:ce::254]", "168.63.129.16", "[::ffff:100.100.100.200]",
	} {
		if err := aloof(nil)("tcp", host+":80", nil); !errors.Is(err, errNode) {
			t.Errorf("%s: %v", host, err)
		}
	}
	for _, address := range []string{"127.0.0.1:80", "[fd00:ec2::253]:80", "168.63.129.17:80"} {
		if err := aloof(nil)("tcp", address, nil); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// What listens for operators, on one address or on all, is not for policies by
// any address that leads there; what else the machine has is.
func TestOperatorsAddressIsNotAsked(t *testing.T) {
	for name, test := range map[string]struct {
		listen      string
		theirs, not []string
	}{
		"one": {"127.0.0.1:0", []string{"127.0.0.1", "0.0.0.0", "[::ffff:127.0.0.1]", "[::]"}, []string{"127.0.0.2", "[::1]"}},
		"all": {":0", append(interfaces(t), "127.0.0.1", "127.0.0.2", "[::1]", "0.0.0.0", "[::]"), nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewUnstartedServer(http.NotFoundHandler())
			_ = s.Listener.Close()
			var err error
			if s.Listener, err = net.Listen("tcp", test.listen); err != nil {
				t.Fatal(err)
			}
			s.Start()
			defer s.Close()
			port := ":" + strconv.Itoa(s.Listener.Addr().(*net.TCPAddr).Port)

			operators := s.Listener.Addr()
			keep := aloof(operators)
			if err := ask(t, operators, "127.0.0.1"+port); !errors.Is(err, errOperator) {
				t.Error(err)
			}
			for _, host := range test.theirs {
				if err := keep("tcp", host+port, nil); !errors.Is(err, errOperator) {
					t.Errorf("%s: %v", host, err)
				}
			}
			for _, host := range append(test.not, "192.0.2.1", "[2001:db8::1]") {
				if err := keep("tcp", host+port, nil); err != nil {
					t.Errorf("%s: %v", host, err)
				}
			}
			if err := keep("tcp", "127.0.0.1:1", nil); err != nil {
				t.Errorf("another port: %v", err)
			}
			if err := ask(t, nil, "127.0.0.1"+port); err != nil {
				t.Errorf("without operators: %v", err)
			}
		})
	}
}

// interfaces returns the machine's addresses.
func interfaces(t *testing.T) (hosts []string) {
	t.Helper()
	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && !n.IP.IsLinkLocalUnicast() {
			hosts = append(hosts, n.IP.String())
		}
	}
	return hosts
}

func ask(t *testing.T, operators net.Addr, host string) error {
	t.Helper()
	tr := NewTransport(1, operators)
	defer tr.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+host+"/", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := tr.RoundTrip(r)
	if err == nil {
		_ = answer.Body.Close()
	}
	return err
}
