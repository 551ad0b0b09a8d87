package doctor

import (
	"context"
	"slices"
	"strconv"
	"strings"
)

// functions counts the virtual functions that a card may have and has.
func (t tree) functions(device string) (total, has int, ok bool) {
	total, err := strconv.Atoi(t.word("sys/bus/pci/devices/" + device + "/sriov_totalvfs"))
	has, hasErr := strconv.Atoi(t.word("sys/bus/pci/devices/" + device + "/sriov_numvfs"))
	return total, has, err == nil && hasErr == nil
}

// cards are the PCI devices that know SR-IOV, by address.
func (t tree) cards() []string {
	return slices.DeleteFunc(t.list("sys/bus/pci/devices"), func(device string) bool {
		_, _, ok := t.functions(device)
		return !ok
	})
}

// checkSRIOV lists the cards that can be cut into virtual functions.
func checkSRIOV(_ context.Context, v *visit) {
	if !v.exists("sys/bus/pci") {
		v.ok("no PCI, and so no card with SR-IOV")
		return
	}
	for _, device := range v.cards() {
		dir := "sys/bus/pci/devices/" + device
		total, has, _ := v.functions(device)
		name := device
		if links := v.list(dir + "/net"); len(links) > 0 {
			name = links[0] + " (" + device + ")"
		}
		switch {
		case total == 0:
			v.warn("switch SR-IOV on in the machine's firmware, and reboot", "%s knows SR-IOV and may have no virtual function", name)
		case has > total:
			v.warn("echo 0 > /"+dir+"/sriov_numvfs", "%s says that it has %d of %d virtual functions", name, has, total)
		case has == 0:
			v.ok("%s may have %d virtual functions and has none", name, total)
		default:
			v.ok("%s has %d of %d virtual functions", name, has, total)
		}
		if has > 0 && v.word(dir+"/sriov_drivers_autoprobe") == "0" {
			v.warn("echo 1 > /"+dir+"/sriov_drivers_autoprobe", "%s gives its virtual functions no driver by itself", name)
		}
	}
	if v.quiet() {
		v.ok("no card with SR-IOV")
	}
}

// checkIOMMU reads whether cards, or their functions, can be passed to virtual
// machines. Containers need none.
func checkIOMMU(_ context.Context, v *visit) {
	words := strings.Fields(v.word("proc/cmdline"))
	asked := slices.ContainsFunc(words, func(w string) bool {
		return strings.HasPrefix(w, "intel_iommu=on") || strings.HasPrefix(w, "amd_iommu=on") || w == "iommu=pt" || w == "iommu=force"
	})
	wanted := v.hypervisor() && len(v.cards()) > 0
	groups := len(v.list("sys/kernel/iommu_groups"))
	switch {
	case !v.exists("sys"):
		v.warn("mount -t sysfs sysfs /sys", "cannot look: /sys is not there")
	case groups > 0:
		v.ok("%d IOMMU groups: cards can be passed to virtual machines", groups)
	case asked:
		v.warn("switch VT-d, AMD-Vi or SMMU on in the machine's firmware, and reboot",
			"the kernel's command line asks for the IOMMU, and there is none: no card can be passed to a virtual machine")
	case wanted:
		v.warn(v.iommuRemedy(), "the IOMMU is off: no card can be passed to a virtual machine")
	default:
		v.ok("no IOMMU, and nothing here that needs one")
	}
	if groups > 0 && wanted && !v.loaded("vfio_pci") {
		v.warn("modprobe vfio-pci", "vfio-pci is not loaded: libvirt loads it when it passes the first card")
	}
}

// hypervisor says whether the machine runs virtual machines.
func (v *visit) hypervisor() bool {
	return v.exists("dev/kvm") || v.anyExists("run/libvirt/libvirt-sock", "run/libvirt/virtqemud-sock")
}

// iommuRemedy is the command that asks for it at the next boot.
func (v *visit) iommuRemedy() string {
	arg := "iommu=pt"
	if text, _ := v.read("proc/cpuinfo"); strings.Contains(text, "GenuineIntel") {
		arg = "intel_iommu=on iommu=pt"
	}
	if v.anyExists("usr/sbin/grubby", "sbin/grubby") {
		return `grubby --update-kernel=ALL --args="` + arg + `" && reboot`
	}
	return `sed -i 's/^GRUB_CMDLINE_LINUX="/&` + arg + ` /' /etc/default/grub && update-grub && reboot`
}
