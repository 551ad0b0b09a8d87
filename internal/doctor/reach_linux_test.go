package doctor

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/internal/netns/netnstest"
)

// The tables are as this machine's kernel writes them.
func TestReachesOnTheKernel(t *testing.T) {
	t.Parallel()
	ns := netnstest.New(t)
	netnstest.Run(t, ns, "ip", "link", "add", "v0", "type", "veth", "peer", "name", "v1")
	netnstest.Run(t, ns, "ip", "link", "set", "v0", "up")
	netnstest.Run(t, ns, "ip", "link", "set", "v1", "up")
	netnstest.Run(t, ns, "ip", "addr", "add", "10.1.0.2/24", "dev", "v0")
	reaches := func() []string {
		dir := t.TempDir()
		for _, name := range []string{"route", "ipv6_route"} {
			must(t, os.WriteFile(dir+"/"+name, []byte(netnstest.Run(t, ns, "cat", "/proc/thread-self/net/"+name)), 0o600))
		}
		return tree(dir).reaches("/", []netip.Addr{metadata4, metadataECS, metadata6})
	}
	for _, step := range []struct{ command, want string }{
		{"ip link", "[]"},
		{"ip route add default via 10.1.0.1", "[169.254.169.254 100.100.100.200]"},
		{"ip -6 route add default dev v0", "[169.254.169.254 100.100.100.200 fd00:ec2::254]"},
		{"ip route add blackhole 169.254.169.254", "[100.100.100.200 fd00:ec2::254]"},
		{"ip route add blackhole 100.100.100.200", "[fd00:ec2::254]"},
		{"ip -6 route add blackhole fd00:ec2::254", "[]"},
		{"ip route del blackhole 169.254.169.254", "[169.254.169.254]"},
		{"ip route add unreachable 169.254.0.0/16", "[]"},
		{"ip route del blackhole 100.100.100.200", "[100.100.100.200]"},
		{"ip route add unreachable 100.64.0.0/10", "[]"},
	} {
		f := strings.Fields(step.command)
		netnstest.Run(t, ns, f[0], f[1:]...)
		if got := fmt.Sprint(reaches()); got != step.want {
			t.Errorf("after %s: %s, want %s", step.command, got, step.want)
		}
	}
}
