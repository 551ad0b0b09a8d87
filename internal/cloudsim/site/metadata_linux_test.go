package site_test

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"testing"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/internal/cloudsim/site"
	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
)

// wired is a namespace with a wire to the cloud's, and an address at each end.
func wired(t *testing.T, cloud *netns.Namespace, name, near, far string) *netns.Namespace {
	t.Helper()
	ns := netnstest.New(t)
	netnstest.Run(t, cloud, "ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), ns.FD()))
	netnstest.Run(t, cloud, "ip", "addr", "add", near, "dev", name)
	netnstest.Run(t, cloud, "ip", "link", "set", name, "up")
	netnstest.Run(t, ns, "ip", "addr", "add", far, "dev", "eth0")
	netnstest.Run(t, ns, "ip", "link", "set", "eth0", "up")
	netnstest.Run(t, ns, "ip", "route", "add", "169.254.169.254", "dev", "eth0")
	return ns
}

// asked is what is answered at a path of the metadata service, with a token.
func asked(t *testing.T, from *netns.Namespace, path string) string {
	t.Helper()
	const script = `token=$(curl -sf -m 20 -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' http://169.254.169.254/latest/api/token) &&
		curl -sf -m 20 -H "X-aws-ec2-metadata-token: $token" "http://169.254.169.254/$0"`
	var out []byte
	if err := from.Do(func() error {
		out, _ = exec.Command("sh", "-c", script, path).Output() // no answer is one
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// All instances have their metadata at one address, as EC2's do, and who asks is told
// by the address it asks from: a machine's own, or that of an interface, which goes
// along with it. Nobody else is told anything.
func TestMetadataAtOneAddress(t *testing.T) {
	t.Parallel()
	netnstest.RequireRoot(t)
	cloud := netnstest.New(t)
	netnstest.Run(t, cloud, "ip", "addr", "add", "169.254.169.254", "dev", "lo")
	machines := []site.Machine{
		{ID: "i-0123456789abcdef0", Name: "vm1", Addr: netip.MustParseAddr("10.98.0.11")},
		{ID: "i-0123456789abcdef1", Name: "vm2", Addr: netip.MustParseAddr("10.98.1.11")},
	}
	var s *site.Site
	if err := cloud.Do(func() (err error) {
		s, err = site.Start(t.Context(), site.Options{Machines: machines, Metadata: "169.254.169.254:80"})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	eni, err := s.Cloud.CreateInterface(t.Context(), cloudsim.Call{}, cloudsim.CreateInterface{Subnet: s.About.Subnets[0].ID})
	if err != nil {
		t.Fatal(err)
	}
	guest := wired(t, cloud, "guest0", "10.98.0.1/24", "10.98.0.11/24")
	holder := wired(t, cloud, "holder0", "10.80.0.1/18", eni.Primary().String()+"/18")
	stranger := wired(t, cloud, "stranger0", "10.99.0.1/24", "10.99.0.2/24")
	const instance, role = "latest/meta-data/instance-id", "latest/meta-data/iam/security-credentials/"
	if got := asked(t, guest, instance); got != machines[0].ID {
		t.Errorf("vm1 is told that it is %q", got)
	}
	if got := asked(t, guest, role); got != "node" {
		t.Errorf("vm1's role is %q", got)
	}
	for n, m := range machines {
		if got := asked(t, holder, instance); got != "" {
			t.Errorf("whose interface is nobody's is told that it is %q", got)
		}
		attached, err := s.Cloud.AttachInterface(t.Context(), cloudsim.Call{}, cloudsim.AttachInterface{Interface: eni.ID, Instance: m.ID, Device: 1})
		if err != nil {
			t.Fatal(err)
		}
		if got := asked(t, holder, instance); got != m.ID {
			t.Errorf("whose interface is in machine %d is told that it is %q", n, got)
		}
		if err := s.Cloud.DetachInterface(t.Context(), cloudsim.Call{}, cloudsim.DetachInterface{Attachment: attached.ID}); err != nil {
			t.Fatal(err)
		}
	}
	if got := asked(t, stranger, instance); got != "" {
		t.Errorf("a stranger is told that it is %q", got)
	}
}
