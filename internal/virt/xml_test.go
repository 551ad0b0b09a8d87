package virt

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nicferry/nicferry/nic"
)

func card(n byte) Interface {
	return Interface{
		Alias: fmt.Sprintf("ua-nicferry-%d", n), MAC: nic.MAC{0x52, 0x54, 0, 0, 0, n},
		Port: nic.Port{Kind: nic.PortBridge, Name: "br0", Model: nic.ModelVirtio},
	}
}

func want(t *testing.T, err, kind error) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Errorf("error: %v; want %q", err, kind)
	}
}

func golden(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The files are from a real libvirt: go test -tags "libvirt libvirt_dlopen" ./internal/virt -run KindsOfPorts -update
func TestReadDomain(t *testing.T) {
	t.Parallel()
	live, stored := card(9), card(9)
	live.Port = nic.Port{Kind: nic.PortNetwork, Name: "lan", Model: nic.ModelVirtio}
	live.Address = "0000:01:00.0"
	stored.Port, stored.Address = live.Port, live.Address
	live.Target = "vnet0"
	d, err := ReadDomain(golden(t, "live.xml"), golden(t, "stored.xml"))
	if err != nil {
		t.Fatal(err)
	}
	expect := Domain{
		Name: "vm2", UUID: d.UUID, State: Running, Live: []Interface{live}, Stored: []Interface{stored},
		Slots: Slots{Total: 2, Free: 1}, Ports: []string{"0000:02:00.0"}, Hotplug: ACPI,
	}
	if diff := cmp.Diff(expect, d); diff != "" || !isUUID(d.UUID) {
		t.Errorf("read (-want +got):\n%s", diff)
	}
	// A port that is empty now, and not at the next start.
	moved := strings.ReplaceAll(golden(t, "stored.xml"), "type='pci' domain='0x0000' bus='0x01'", "type='pci' domain='0x0000' bus='0x02'")
	if d, err = ReadDomain(golden(t, "live.xml"), moved); err != nil || d.Slots.Free != 1 || len(d.Ports) > 0 {
		t.Errorf("another address in the stored definition: %+v, %v", d, err)
	}
	if d, err = ReadDomain(golden(t, "live.xml"), ""); err != nil || !d.Transient || d.Stored != nil {
		t.Errorf("a transient domain: %+v, %v", d, err)
	}
	d, err = ReadDomain("", golden(t, "ports.xml"))
	if err != nil || d.State != Off || d.Live != nil || d.Slots != (Slots{Total: 4}) || len(d.Stored) != 4 {
		t.Fatalf("a domain that is off: %+v, %v", d, err)
	}
	for _, text := range []string{"", "<domain", "<domain></domain", "nothing", "<network/>"} {
		if d, err := ReadDomain(text, text); err == nil {
			t.Errorf("read %q as %+v", text, d)
		}
	}
}

func TestSlotsAndHotplugMode(t *testing.T) {
	t.Parallel()
	port := "<controller type='pci' model='pcie-root-port' index='%d'>%s</controller>"
	on := "<address type='pci' domain='0x0000' bus='0x%02x' slot='0x00' function='0x0'/>"
	for _, c := range []struct {
		name, machine, features, devices, rest string
		slots                                  Slots
		mode                                   HotplugMode
	}{
		{"none", "pc-q35-10.0", "<acpi/>", "", "", Slots{}, ACPI},
		{"two", "pc-q35-8.2", "<acpi/>", fmt.Sprintf(port+port, 1, "", 2, ""), "", Slots{2, 2}, ACPI},
		{"old", "pc-q35-6.0", "<acpi/>", "", "", Slots{}, Native},
		{"without ACPI", "pc-q35-9.0", "", "", "", Slots{}, Native},
		{"turned off", "pc-q35-9.0", "<acpi/>", "", "<commandline xmlns='http://libvirt.org/schemas/domain/qemu/1.0'><arg value='-global'/><arg value='ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off'/></commandline>", Slots{}, Native},
		{"a port that cannot", "pc-q35-9.0", "<acpi/>", fmt.Sprintf(port+port, 1, "<target hotplug='off'/>", 2, ""), "", Slots{1, 1}, ACPI},
		{"any device", "pc-q35-9.0", "<acpi/>", fmt.Sprintf(port+port, 1, "", 16, "") + "<strange><deep>" + fmt.Sprintf(on, 16) + "</deep></strange>", "", Slots{2, 1}, ACPI},
		{
			"passed through", "pc-q35-9.0", "<acpi/>",
			fmt.Sprintf(port+port, 1, "", 2, "") + "<hostdev mode='subsystem' type='pci'><source><address domain='0x0000' bus='0x02' slot='0x10' function='0x1'/></source>" + fmt.Sprintf(on, 1) + "</hostdev>",
			"",
			Slots{2, 1},
			ACPI,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			text := fmt.Sprintf("<domain type='qemu'><name>vm</name><os><type arch='x86_64' machine='%s'>hvm</type></os><features>%s</features><devices>%s</devices>%s</domain>",
				c.machine, c.features, c.devices, c.rest)
			if d, err := ReadDomain("", text); err != nil || d.Slots != c.slots || d.Hotplug != c.mode || len(d.Ports) != d.Slots.Free {
				t.Errorf("%+v, %q, %s, %v; want %+v, %s", d.Slots, d.Ports, d.Hotplug, err, c.slots, c.mode)
			}
		})
	}
}

func TestInterfaceGoesThereAndBack(t *testing.T) {
	t.Parallel()
	rate := nic.Rate{Average: 1000, Peak: 2000, Burst: 512}
	for name, change := range map[string]func(*Interface){
		"plain":   func(*Interface) {},
		"e1000e":  func(i *Interface) { i.Port.Model = nic.ModelE1000e },
		"queues":  func(i *Interface) { i.Port.Queues = 4 },
		"mtu":     func(i *Interface) { i.MTU = 9000 },
		"down":    func(i *Interface) { i.LinkDown = true },
		"filter":  func(i *Interface) { i.Port.Filter = "clean-traffic" },
		"rates":   func(i *Interface) { i.Port.Inbound, i.Port.Outbound = rate, nic.Rate{Average: 1} },
		"address": func(i *Interface) { i.Address = "0000:0a:00.0" },
		"ovs":     func(i *Interface) { i.Port.Kind, i.Port.VLAN = nic.PortOVS, 4094 },
		"network": func(i *Interface) { i.Port.Kind = nic.PortNetwork },
		"macvtap": func(i *Interface) { i.Port.Kind = nic.PortMacvtap },
	} {
		i := card(1)
		change(&i)
		text, err := MarshalInterface(i)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if back, err := UnmarshalInterface(text); err != nil || back != i {
			t.Errorf("%s: %+v, %v; want %+v from\n%s", name, back, err, i, text)
		}
		if !strings.Contains(text, `<rom enabled="no">`) {
			t.Errorf("%s: a ROM in\n%s", name, text)
		}
	}
}

func TestInterfacesThatCannotBe(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Interface){
		"no alias":     func(i *Interface) { i.Alias = "" },
		"libvirt's":    func(i *Interface) { i.Alias = "net0" },
		"hostile":      func(i *Interface) { i.Alias = "ua-'/><disk>" },
		"no MAC":       func(i *Interface) { i.MAC = nic.MAC{} },
		"MTU":          func(i *Interface) { i.MTU = -1 },
		"no port":      func(i *Interface) { i.Port = nic.Port{} },
		"address":      func(i *Interface) { i.Address = "5" },
		"long address": func(i *Interface) { i.Address = "0000:05:00.0'/>" },
	} {
		i := card(1)
		change(&i)
		text, err := MarshalInterface(i)
		if !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v; want %q, not\n%s", name, err, ErrInvalid, text)
		}
	}
}
