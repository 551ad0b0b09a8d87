//go:build libvirt

package plug

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/internal/lab/hyper"
	"github.com/nicferry/nicferry/internal/lab/hyper/hypertest"
	"github.com/nicferry/nicferry/internal/virt"
	"github.com/nicferry/nicferry/nic"
)

// machine is a domain without an operating system, which lets go of a card at
// once: nobody in it is asked.
const machine = `<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
<name>vm1</name><memory unit='MiB'>64</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='q35'>hvm</type></os><features><acpi/></features>
<devices><controller type='pci' model='pcie-root'/><controller type='pci' model='pcie-root-port' index='1'/>
<controller type='pci' model='pcie-root-port' index='2'/><controller type='usb' model='none'/><memballoon model='none'/></devices>
<qemu:commandline><qemu:arg value='-global'/><qemu:arg value='ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off'/></qemu:commandline>
</domain>`

// newHost starts a hypervisor with a switch and vm1.
func newHost(t *testing.T) (*hyper.Host, *virt.Conn) {
	t.Helper()
	h := hypertest.New(t, "lan0")
	conn, err := virt.Open(t.Context(), virt.Options{URI: h.URI()})
	must(t, err)
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	})
	_, err = conn.Define(t.Context(), machine)
	must(t, err)
	must(t, conn.Start(t.Context(), "vm1"))
	return h, conn
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A world is a cloud whose one instance is vm1.
type world struct {
	*cloudsim.Cloud
	t      *testing.T
	host   *hyper.Host
	subnet string
}

func newWorld(t *testing.T, h *hyper.Host, conn *virt.Conn) *world {
	t.Helper()
	id := InstanceID("vm1")
	l := NewLibvirt(LibvirtOptions{
		Hypervisor: conn, Domains: map[string]string{id: "vm1"},
		Switch: nic.Port{Kind: nic.PortBridge, Name: "lan0", Model: nic.ModelVirtio},
	})
	t.Cleanup(l.Close)
	must(t, l.Clear(t.Context()))
	w := &world{Cloud: cloudsim.New(cloudsim.Options{Plugger: l}), t: t, host: h}
	t.Cleanup(w.Close)
	vpc, err := w.AddVPC(cloudsim.VPC{CIDR: netip.MustParsePrefix("10.80.0.0/16")})
	must(t, err)
	subnet, err := w.AddSubnet(cloudsim.Subnet{VPC: vpc.ID, Zone: w.Region() + "a", CIDR: netip.MustParsePrefix("10.80.0.0/18")})
	must(t, err)
	w.subnet = subnet.ID
	_, err = w.AddInstances(cloudsim.RunInstances{ID: id, Type: "m5.xlarge", Subnet: subnet.ID})
	must(t, err)
	return w
}

// until waits for the interface's state, as the cloud's own log would tell it.
func (w *world) until(id, state string) cloudsim.Interface {
	w.t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		for _, e := range w.Interfaces() {
			now := string(e.Status)
			if e.Attachment != nil {
				now += "/" + string(e.Attachment.Status)
			}
			if e.ID == id && now == state {
				return e
			}
		}
		if time.Now().After(end) {
			w.t.Fatalf("%s is not %s", id, state)
		}
	}
}

// hasCard asks virsh, which is not ours.
func (w *world) hasCard(mac cloudsim.MAC) bool {
	w.t.Helper()
	live, err := w.host.Run(w.t.Context(), "virsh", "-c", w.host.URI(), "dumpxml", "vm1")
	must(w.t, err)
	stored, err := w.host.Run(w.t.Context(), "virsh", "-c", w.host.URI(), "dumpxml", "--inactive", "vm1")
	must(w.t, err)
	if strings.Contains(live, mac.String()) != strings.Contains(stored, mac.String()) {
		w.t.Errorf("%s is in one of the two definitions only", mac)
	}
	return strings.Contains(live, mac.String())
}

func (w *world) create() cloudsim.Interface {
	w.t.Helper()
	e, err := w.CreateInterface(w.t.Context(), cloudsim.Call{}, cloudsim.CreateInterface{Subnet: w.subnet})
	must(w.t, err)
	return w.until(e.ID, "available")
}

func (w *world) attach(e cloudsim.Interface, device int) {
	w.t.Helper()
	_, err := w.AttachInterface(w.t.Context(), cloudsim.Call{}, cloudsim.AttachInterface{Interface: e.ID, Instance: InstanceID("vm1"), Device: device})
	must(w.t, err)
}

// Attached means that the machine has the card; available again that it has not,
// also where libvirtd is killed in between and where the cloud is started anew.
func TestAttachingIsPluggingIn(t *testing.T) {
	t.Parallel()
	h, conn := newHost(t)
	w := newWorld(t, h, conn)
	one, two := w.create(), w.create()
	w.attach(one, 1)
	w.attach(two, 2)
	a := w.until(one.ID, "in-use/attached").Attachment
	w.until(two.ID, "in-use/attached")
	if !w.hasCard(one.MAC) || !w.hasCard(two.MAC) {
		t.Error("what is attached is not in the machine")
	}
	must(t, h.Kill(t.Context(), "libvirtd"))
	must(t, w.DetachInterface(t.Context(), cloudsim.Call{}, cloudsim.DetachInterface{Attachment: a.ID}))
	w.until(one.ID, "in-use/detaching")
	must(t, h.StartLibvirt(t.Context()))
	w.until(one.ID, "available")
	if w.hasCard(one.MAC) || !w.hasCard(two.MAC) {
		t.Error("not the one that was detached is out of the machine")
	}
	w.attach(one, 1)
	w.until(one.ID, "in-use/attached")
	three := w.create()
	w.attach(three, 3) // vm1 has two ports
	w.until(three.ID, "available")
	if log := w.Log(0); log[len(log)-1].Event != "plug-failed" || w.hasCard(three.MAC) {
		t.Errorf("without a free port the log ends with %+v", log[len(log)-1])
	}
	w.Close()
	w = newWorld(t, h, conn) // another cloud, which knows of nothing
	if w.hasCard(one.MAC) || w.hasCard(two.MAC) {
		t.Error("what the cloud before it plugged in is still there")
	}
}
