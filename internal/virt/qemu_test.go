//go:build libvirt

package virt

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/lab/hyper/hypertest"
	"github.com/nicferry/nicferry/nic"
)

var update = flag.Bool("update", false, "write testdata anew, as this machine's libvirt tells it")

// machine is a domain without an operating system: nobody in it takes a card
// into use or lets go of one.
func machine(name string, ports int, commandline string) string {
	var b strings.Builder
	for n := range ports {
		fmt.Fprintf(&b, "<controller type='pci' model='pcie-root-port' index='%d'/>", n+1)
	}
	return fmt.Sprintf(`<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
<name>%s</name><memory unit='MiB'>64</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='q35'>hvm</type></os><features><acpi/></features>
<devices><controller type='pci' model='pcie-root'/>%s<controller type='usb' model='none'/>
<memballoon model='none'/></devices>%s</domain>`, name, b.String(), commandline)
}

const native = `<qemu:commandline><qemu:arg value='-global'/>
<qemu:arg value='ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off'/></qemu:commandline>`

func define(t *testing.T, c *Conn, text string) Domain {
	t.Helper()
	d, err := c.Define(t.Context(), text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func look(t *testing.T, c *Conn, id string) Domain {
	t.Helper()
	d, err := c.Domain(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// await reads events until the one of this kind for the alias.
func await(t *testing.T, c *Conn, kind EventKind, alias string) {
	t.Helper()
	for {
		if e := next(t, c); e.Kind == kind && e.Alias == alias {
			return
		}
	}
}

// A card goes to the port that is named, and not to one where another is, in
// either definition.
func TestPlugAtAPort(t *testing.T) {
	t.Parallel()
	h := hypertest.New(t, "br0")
	c, ctx := open(t, h.URI()), t.Context()
	vm := define(t, c, machine("vm1", 4, "")).UUID
	stored := card(1)
	stored.Address = "0000:03:00.0"
	must(t, c.Plug(ctx, vm, stored))
	must(t, c.Start(ctx, vm))
	if d := look(t, c, vm); len(d.Ports) != 3 || d.Ports[2] != "0000:04:00.0" {
		t.Fatalf("ports %q; want 1, 2 and 4", d.Ports)
	}
	one, two := card(2), card(3)
	one.Address, two.Address = "0000:04:00.0", "0000:04:00.0"
	must(t, c.Plug(ctx, vm, one))
	want(t, c.Plug(ctx, vm, two), ErrTaken)
	two.Address = stored.Address
	want(t, c.Plug(ctx, vm, two), ErrTaken)
	two.Address = "0000:02:00.0"
	must(t, c.Plug(ctx, vm, two))
	d := look(t, c, vm)
	for _, cards := range [][]Interface{d.Live, d.Stored} {
		if len(cards) != 3 || cards[1].Address != one.Address || cards[2].Address != two.Address {
			t.Errorf("plugged: %+v", cards)
		}
	}
	if len(d.Ports) != 1 || d.Ports[0] != "0000:01:00.0" {
		t.Errorf("ports %q; want 1", d.Ports)
	}
}

func TestPlugAndUnplugOnQEMU(t *testing.T) {
	t.Parallel()
	h := hypertest.New(t, "br0")
	c, ctx := open(t, h.URI()), t.Context()
	vm := define(t, c, machine("vm1", 2, native)).UUID
	if d := look(t, c, vm); d.Slots != (Slots{2, 2}) || d.Hotplug != Native || d.State != Off {
		t.Errorf("defined: %+v", d)
	}
	must(t, c.Start(ctx, vm))
	one, two, three := card(1), card(2), card(3)
	one.Port.Queues, one.MTU, one.LinkDown = 2, 1400, true
	two.Port.Model = nic.ModelE1000e
	begin := time.Now()
	must(t, c.Plug(ctx, vm, one))
	t.Logf("plug took %s", time.Since(begin))
	await(t, c, DeviceAdded, one.Alias)
	must(t, c.Plug(ctx, vm, one), c.Plug(ctx, vm, two)) // again is nothing
	want(t, c.Plug(ctx, vm, three), ErrNoSlot)
	other := one
	other.MAC = three.MAC
	want(t, c.Plug(ctx, vm, other), ErrTaken)
	d := look(t, c, vm)
	if d.Slots != (Slots{2, 0}) || len(d.Live) != 2 || len(d.Stored) != 2 {
		t.Fatalf("plugged: %+v", d)
	}
	for _, i := range []Interface{d.Live[0], d.Stored[0]} {
		i.Target, i.Address = "", ""
		if i != one {
			t.Errorf("plugged %+v, want %+v", i, one)
		}
	}
	if d.Live[0].Address == "" || !strings.HasPrefix(d.Live[0].Target, "vnet") || d.Live[0].Address == d.Live[1].Address {
		t.Errorf("plugged: %+v", d.Live)
	}
	wrong := d.Live[0]
	wrong.Address = d.Live[1].Address
	want(t, c.Unplug(ctx, vm, wrong), ErrTaken)
	want(t, c.Unplug(ctx, vm, other), ErrTaken)
	want(t, c.Unplug(ctx, vm, three), ErrNoInterface)
	must(t, c.Unplug(ctx, vm, d.Live[0]))
	await(t, c, DeviceRemoved, one.Alias) // no guest holds on to it
	if d := look(t, c, vm); d.Slots != (Slots{2, 1}) || len(d.Live) != 1 || len(d.Stored) != 1 || d.Live[0].Alias != two.Alias {
		t.Errorf("unplugged: %+v", d)
	}
	want(t, c.Unplug(ctx, vm, one), ErrNoInterface)
	must(t, c.Destroy(ctx, vm), c.Plug(ctx, vm, three), c.Unplug(ctx, vm, two))
	if d := look(t, c, vm); d.Live != nil || len(d.Stored) != 1 || d.Stored[0].Alias != three.Alias {
		t.Errorf("changed while off: %+v", d)
	}
}

// Every kind of port comes back from the stored definition as it was given.
func TestKindsOfPorts(t *testing.T) {
	t.Parallel()
	h := hypertest.New(t, "br0")
	c, ctx := open(t, h.URI()), t.Context()
	vm := define(t, c, machine("vm1", 4, "")).UUID
	must(t, c.StartNetwork(ctx, "<network><name>lan</name><forward mode='bridge'/><bridge name='br0'/></network>"))
	rate := nic.Rate{Average: 1000, Peak: 2000, Burst: 512}
	ports := []nic.Port{
		{Kind: nic.PortBridge, Name: "br0", Model: nic.ModelVirtio, Queues: 4, Filter: "clean-traffic", Inbound: rate, Outbound: nic.Rate{Average: 5}},
		{Kind: nic.PortOVS, Name: "ovs0", Model: nic.ModelE1000e, VLAN: 42},
		{Kind: nic.PortNetwork, Name: "lan", Model: nic.ModelVirtio},
		{Kind: nic.PortMacvtap, Name: "uplink0", Model: nic.ModelVirtio},
	}
	for n, p := range ports {
		i := card(byte(n))
		i.Port = p
		must(t, c.Plug(ctx, vm, i))
	}
	d := look(t, c, vm)
	for n, i := range d.Stored {
		if i.Port != ports[n] || i.Alias != card(byte(n)).Alias {
			t.Errorf("stored %+v, want %+v", i, ports[n])
		}
	}
	if len(d.Stored) != len(ports) || d.Slots != (Slots{4, 0}) {
		t.Errorf("stored %+v", d)
	}
	want(t, c.Plug(ctx, vm, card(8)), ErrNoSlot)
	running := define(t, c, machine("vm2", 2, "")).UUID
	lan := card(9)
	lan.Port = ports[2]
	must(t, c.Start(ctx, running), c.Plug(ctx, running, lan))
	if d := look(t, c, running); len(d.Live) != 1 || d.Live[0].Port != lan.Port {
		t.Errorf("plugged into a libvirt network: %+v", d.Live)
	}
	if *update {
		for file, args := range map[string][]string{"ports.xml": {vm}, "live.xml": {running}, "stored.xml": {running, "--inactive"}} {
			text, err := h.Run(ctx, "virsh", append([]string{"-c", h.URI(), "dumpxml"}, args...)...)
			must(t, err, os.WriteFile(filepath.Join("testdata", file), []byte(text), 0o644))
		}
	}
}

// With ACPI a guest has to let go; nobody is there who does.
func TestUnplugIsAskedForAgain(t *testing.T) {
	t.Parallel()
	h := hypertest.New(t, "br0")
	c, ctx := open(t, h.URI()), t.Context()
	vm := define(t, c, machine("vm1", 2, "")).UUID
	must(t, c.Start(ctx, vm), c.Suspend(ctx, vm), c.Plug(ctx, vm, card(1)))
	d := look(t, c, vm)
	if d.Hotplug != ACPI || d.State != Paused || len(d.Live) != 1 {
		t.Errorf("frozen: %+v", d)
	}
	for range 3 {
		must(t, c.Unplug(ctx, vm, d.Live[0]))
	}
	if d := look(t, c, vm); len(d.Live) != 1 || len(d.Stored) != 0 {
		t.Errorf("asked for: %+v", d)
	}
	must(t, c.Resume(ctx, vm), c.Unplug(ctx, vm, d.Live[0]), c.Plug(ctx, vm, d.Live[0]))
	if d := look(t, c, vm); len(d.Live) != 1 || len(d.Stored) != 1 {
		t.Errorf("the stored half is not mended: %+v", d)
	}
}

func TestHalvesAreMended(t *testing.T) {
	t.Parallel()
	h := hypertest.New(t, "br0")
	c, ctx := open(t, h.URI()), t.Context()
	vm := define(t, c, machine("vm1", 2, native)).UUID
	text, err := MarshalInterface(card(1))
	must(t, err)
	file := filepath.Join(h.Dir(), "card.xml")
	must(t, os.WriteFile(file, []byte(text), 0o600), c.Start(ctx, vm))
	for _, half := range []string{"--live", "--config"} {
		_, err := h.Run(ctx, "virsh", "-c", h.URI(), "attach-device", vm, file, half)
		must(t, err, c.Plug(ctx, vm, card(1)))
		if d := look(t, c, vm); len(d.Live) != 1 || len(d.Stored) != 1 || d.Live[0].Alias != d.Stored[0].Alias {
			t.Errorf("after %s: %+v", half, d)
		}
		must(t, c.Unplug(ctx, vm, card(1)))
		await(t, c, DeviceRemoved, card(1).Alias)
	}
}

func TestConnectionComesBackWhenLibvirtIsKilled(t *testing.T) {
	t.Parallel()
	h := hypertest.New(t, "br0")
	c, ctx := open(t, h.URI()), t.Context()
	vm := define(t, c, machine("vm1", 2, native)).UUID
	must(t, c.Start(ctx, vm), c.Plug(ctx, vm, card(1)), h.Kill(ctx, "libvirtd"))
	_, err := c.Domains(ctx)
	want(t, err, ErrUnreachable)
	want(t, c.Plug(ctx, vm, card(2)), ErrUnreachable)
	must(t, h.StartLibvirt(ctx))
	for {
		if e := next(t, c); e.Kind == Reconnected {
			break
		}
	}
	if d := look(t, c, vm); d.State != Running || len(d.Live) != 1 {
		t.Errorf("afterwards: %+v", d)
	}
	must(t, c.Unplug(ctx, vm, card(1)))
	await(t, c, DeviceRemoved, card(1).Alias)
}

func TestWhatQEMURefuses(t *testing.T) {
	t.Parallel()
	h := hypertest.New(t, "br0")
	c, ctx := open(t, h.URI()), t.Context()
	vm := define(t, c, machine("vm1", 4, native)).UUID
	must(t, c.Start(ctx, vm))
	for name, change := range map[string]func(*Interface){
		"bridge":    func(i *Interface) { i.Port.Name = "nosuch0" },
		"network":   func(i *Interface) { i.Port = nic.Port{Kind: nic.PortNetwork, Name: "nosuch"} },
		"filter":    func(i *Interface) { i.Port.Filter = "nosuch" },
		"bandwidth": func(i *Interface) { i.Port.Inbound.Average = 1000 },
		"ovs":       func(i *Interface) { i.Port = nic.Port{Kind: nic.PortOVS, Name: "nosuch0", VLAN: 5} },
		"macvtap":   func(i *Interface) { i.Port = nic.Port{Kind: nic.PortMacvtap, Name: "nosuch0"} },
	} {
		i := card(1)
		change(&i)
		err := c.Plug(ctx, vm, i)
		t.Logf("%s: %v", name, err)
		d := look(t, c, vm)
		if name != "bandwidth" && err == nil || err != nil && len(d.Live)+len(d.Stored) > 0 {
			t.Errorf("%s: %v, and there is %+v", name, err, d)
		}
		if err == nil {
			must(t, c.Unplug(ctx, vm, i))
			await(t, c, DeviceRemoved, i.Alias)
		}
	}
}

// A libvirtd that hangs costs nobody more than his own deadline.
func TestCallsEndWhenLibvirtHangs(t *testing.T) {
	t.Parallel()
	h := hypertest.New(t, "br0")
	c, ctx := open(t, h.URI()), t.Context()
	vm := define(t, c, machine("vm1", 2, native)).UUID
	must(t, c.Start(ctx, vm))
	daemons, err := h.PIDs("libvirtd")
	must(t, err)
	for _, pid := range daemons {
		must(t, syscall.Kill(pid, syscall.SIGSTOP))
	}
	for range 2 * maxReads {
		short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		_, err := c.Domains(short)
		want(t, err, ErrUnreachable)
		cancel()
	}
	for _, kind := range []error{ErrInconclusive, ErrBusy} {
		short, cancel := context.WithTimeout(ctx, 3*time.Second) // it is begun before
		want(t, c.Plug(short, vm, card(1)), kind)
		cancel()
	}
	for _, pid := range daemons {
		must(t, syscall.Kill(pid, syscall.SIGCONT))
	}
	must(t, c.Plug(ctx, vm, card(1)))
	if d := look(t, c, vm); len(d.Live) != 1 || len(d.Stored) != 1 {
		t.Errorf("plugged %+v", d)
	}
}
