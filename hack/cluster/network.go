//go:build linux

package main

import (
	"fmt"
	"os/exec"
	"strings"
)

// command runs a program of the machine's; its error holds what it said.
func command(args ...string) error {
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

// connect makes the network: a namespace with a bridge, one for each node, a cable between, and every route there is.
func connect(nodes []node) error {
	lan := namePrefix + outside
	lines := []string{
		"netns add " + lan,
		"-n " + lan + " link set lo up",
		"-n " + lan + " link add br0 type bridge",
		"-n " + lan + " addr add " + lanPrefix + ".1/24 dev br0",
		"-n " + lan + " link set br0 up",
	}
	for _, n := range nodes {
		ns := namePrefix + n.name()
		lines = append(lines,
			"netns add "+ns,
			"-n "+ns+" link set lo up",
			"-n "+lan+" link add "+n.name()+" type veth peer name eth0 netns "+ns,
			"-n "+lan+" link set "+n.name()+" master br0 up",
			fmt.Sprintf("-n %s addr add %s/24 dev eth0", ns, n.address()),
			"-n "+ns+" link set eth0 up",
			// A connection to a Service's address needs a route before kube-proxy's rules rewrite it.
			"-n "+ns+" route add "+serviceNet+" dev eth0",
			fmt.Sprintf("-n %s route add %s via %s", lan, n.pods(), n.address()))
		for _, other := range nodes {
			if other.k != n.k {
				lines = append(lines, fmt.Sprintf("-n %s route add %s via %s", ns, other.pods(), other.address()))
			}
		}
	}
	// A route in place of somebody who answers ARP for the pool's addresses.
	lines = append(lines, fmt.Sprintf("-n %s route add %s via %s", lan, poolNet, nodes[0].address()))
	for _, line := range lines {
		if err := command(append([]string{"ip"}, strings.Fields(line)...)...); err != nil {
			return err
		}
	}
	return nil
}
