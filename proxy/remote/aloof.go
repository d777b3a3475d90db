package remote

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"syscall"
)

var (
	errNode     = errors.New("remote: the address of a service of the node or its cloud is for no policy")
	errOperator = errors.New("remote: the gateway's own admin address is for no policy")
)

// clouds are the addresses by which nodes ask their cloud for credentials and
// settings, where they are not link-local ones, as they are with most.
var clouds = []netip.Addr{
	netip.MustParseAddr("fd00:ec2::254"),      // AWS
	netip.MustParseAddr("fd00:ec2::23"),       // AWS, the credentials of EKS pods
	netip.MustParseAddr("fd20:ce::254"),       // Google
	netip.MustParseAddr("168.63.129.16"),      // Azure
	netip.MustParseAddr("100.100.100.200"),    // Alibaba
	netip.MustParseAddr("fd00:c1::a9fe:a9fe"), // Oracle
}

// aloof returns what keeps a connection from being opened to the services of the
// node, and to the socket that listens for operators.
func aloof(operators net.Addr) func(network, address string, _ syscall.RawConn) error {
	var theirs netip.AddrPort // not valid: there is none
	if operators != nil {
		theirs, _ = netip.ParseAddrPort(operators.String())
	}
	return func(_, address string, _ syscall.RawConn) error {
		a, err := netip.ParseAddrPort(address)
		if err != nil {
			return nil
		}
		switch ip := a.Addr().Unmap().WithZone(""); {
		case ip.IsLinkLocalUnicast(), slices.Contains(clouds, ip):
			return errNode
		case a.Port() == theirs.Port() && leads(ip, theirs.Addr().Unmap()):
			return errOperator
		}
		return nil
	}
}

// leads reports whether a connection to ip comes to a socket that listens at an
// address. One to the unspecified address comes to the machine itself.
func leads(ip, listens netip.Addr) bool {
	return listens.IsValid() && (ip == listens || ip.IsUnspecified() || listens.IsUnspecified() && ours(ip))
}

// ours reports whether ip is an address of this machine, or of this pod.
func ours(ip netip.Addr) bool {
	if ip.IsLoopback() {
		return true
	}
	all, err := net.InterfaceAddrs()
	return err != nil || slices.ContainsFunc(all, func(a net.Addr) bool {
		p, err := netip.ParsePrefix(a.String())
		return err == nil && p.Addr().Unmap() == ip
	})
}
