package doctor

import (
	"context"
	"slices"
	"strings"
)

// checkSlots counts hot-plug slots as this machine sees them. What the
// hypervisor still has to give is its own to say.
func checkSlots(_ context.Context, v *visit) {
	free, taken := v.slots()
	native := 0
	for _, name := range v.list("sys/bus/pci_express/drivers/pciehp") {
		if strings.Contains(name, ":pcie") {
			native++
		}
	}
	switch {
	case free+taken == 0 && !v.exists("sys/bus/pci"):
		v.warn("", "the machine has no PCI: a hypervisor cannot plug NICs in; those made on the machine itself work")
	case free+taken == 0:
		v.warn("on QEMU q35, give the VM a pcie-root-port for each NIC; on a kernel without hot-plug, one with CONFIG_HOTPLUG_PCI_ACPI",
			"no hot-plug slot: a hypervisor cannot plug NICs in; those made on the machine itself work")
	case free == 0:
		v.warn("give the VM more pcie-root-ports; that takes a power cycle", "none of %d hot-plug slots is free", taken)
	default:
		v.ok("%d of %d hot-plug slots are free", free, free+taken)
	}
	for _, word := range strings.Fields(v.word("proc/cmdline")) {
		if word == "acpi=off" || word == "pci=noacpi" {
			v.fail("boot without "+word, "%s is on the kernel's command line: it is told of no card that is plugged in", word)
		}
	}
	if native > 0 {
		v.warn("switch the hypervisor to ACPI hot-plug: QEMU's default since 6.1, unless the VM's definition says acpi-pci-hotplug-with-bridge-support=off",
			"%d slots use native PCIe hot-plug: to unplug takes about 6 s, and is refused while the slot's light blinks", native)
	}
}

// slots counts the machine's hot-plug slots.
func (v *visit) slots() (free, taken int) {
	devices := v.list("sys/bus/pci/devices")
	for _, slot := range v.list("sys/bus/pci/slots") {
		address := v.word("sys/bus/pci/slots/" + slot + "/address") // 0000:02:00, without the function
		if address == "" {
			continue
		}
		if slices.ContainsFunc(devices, func(d string) bool { return strings.HasPrefix(d, address+".") }) {
			taken++
		} else {
			free++
		}
	}
	return free, taken
}
