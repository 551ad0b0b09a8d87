package doctor

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/sriov"
)

// functions counts the virtual functions that a card may have and has.
func (t tree) functions(device string) (total, has int, ok bool) {
	total, err := strconv.Atoi(t.word("sys/bus/pci/devices/" + device + "/sriov_totalvfs"))
	has, hasErr := strconv.Atoi(t.word("sys/bus/pci/devices/" + device + "/sriov_numvfs"))
	return total, has, err == nil && hasErr == nil
}

// networkClass is how the class of a network card begins. Disks and graphics cards
// know SR-IOV as well.
const networkClass = "0x02"

// cards are the network cards that know SR-IOV, by PCI address.
func (t tree) cards() []string {
	return slices.DeleteFunc(t.list("sys/bus/pci/devices"), func(device string) bool {
		_, _, ok := t.functions(device)
		class := t.word("sys/bus/pci/devices/" + device + "/class")
		return !ok || class != "" && !strings.HasPrefix(class, networkClass)
	})
}

// called says whether a config's word for a card is the PCI device.
func (t tree) called(device, word string) bool {
	if a, err := sriov.ParseAddress(word); err == nil {
		return string(a) == device
	}
	return slices.Contains(t.list("sys/bus/pci/devices/"+device+"/net"), word)
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
	v.checkTold()
	v.checkListed()
	if v.quiet() {
		v.ok("no card with SR-IOV")
	}
}

// checkTold asks the kernel which interfaces are the cards'. One that does not say it has
// no virtual function given to a container.
func (v *visit) checkTold() {
	if v.Kernel == nil || v.stuck || v.hasController() && !v.hasAgent() {
		return
	}
	nics, err := v.Kernel.NICs()
	if err != nil {
		return // which is another check's to tell
	}
	var untold []string
	for _, device := range v.cards() {
		names := v.list("sys/bus/pci/devices/" + device + "/net")
		if slices.ContainsFunc(nics, func(n NIC) bool { return n.PCI == "" && slices.Contains(names, n.Name) }) {
			untold = append(untold, names[0]+" ("+device+")")
		}
	}
	if len(untold) > 0 {
		v.warn("boot Linux 5.14 or newer", "kernel %s does not say which interface is a card's: containers get no virtual function of %s",
			v.word("proc/sys/kernel/osrelease"), strings.Join(untold, ", "))
	}
}

// cardsUnit makes VFs at boot.
const cardsUnit = "nicferry-sriov.service"

// checkListed holds the cards against those that agent.yaml lists.
func (v *visit) checkListed() {
	if v.agent == nil {
		return
	}
	makes := false
	for _, c := range v.agent.SRIOV.Cards {
		makes = makes || c.VFs > 0
		cards := v.cards()
		i := slices.IndexFunc(cards, func(device string) bool { return v.called(device, c.PF) })
		if i < 0 {
			v.warn("see nicferry-agent sriov list, and mend sriov.cards in agent.yaml; a card that SR-IOV is switched off for in the machine's firmware is in no list",
				"agent.yaml lists the card %s, and there is none with SR-IOV that is called so", c.PF)
			continue
		}
		if total, has, _ := v.functions(cards[i]); has < min(c.VFs, total) {
			v.warn("nicferry-agent sriov enable --config "+v.AgentConfig+", which says why if they cannot be made",
				"%s is to have %d virtual functions by agent.yaml, and has %d", c.PF, min(c.VFs, total), has)
		}
	}
	if makes && v.exists("run/systemd/system") && !v.enabled(cardsUnit) {
		v.warn("systemctl enable "+cardsUnit, "the next boot takes all virtual functions away, and nobody makes them again: %s is not enabled", cardsUnit)
	}
}

// checkIOMMU reads whether cards, or their functions, can be passed to virtual
// machines and to programs. Containers need none.
func checkIOMMU(_ context.Context, v *visit) {
	words := strings.Fields(v.word("proc/cmdline"))
	asked := slices.ContainsFunc(words, func(w string) bool {
		return strings.HasPrefix(w, "intel_iommu=on") || strings.HasPrefix(w, "amd_iommu=on") || w == "iommu=pt" || w == "iommu=force"
	})
	programs := v.drivesItself()
	wanted := (v.hypervisor() || programs) && len(v.cards()) > 0
	groups := len(v.list("sys/kernel/iommu_groups"))
	units := strings.Join(v.list("sys/class/iommu"), ", ")
	switch {
	case !v.exists("sys"):
		v.warn("mount -t sysfs sysfs /sys", "cannot look: /sys is not there")
	case groups > 0 && units != "":
		v.ok("%d IOMMU groups of %s: cards can be passed to virtual machines, and to programs in containers", groups, units)
	case groups > 0:
		v.ok("%d IOMMU groups: cards can be passed to virtual machines, and to programs in containers", groups)
	case asked:
		v.warn("switch VT-d, AMD-Vi or SMMU on in the machine's firmware, and reboot",
			"the kernel's command line asks for the IOMMU, and there is none: no card can be passed to a virtual machine, nor to a program (mode: vfio)")
	case wanted:
		v.warn(v.iommuRemedy(), "the IOMMU is off: no card can be passed to a virtual machine, nor to a program (mode: vfio)")
	default:
		v.ok("no IOMMU, and nothing here that needs one")
	}
	switch loaded := v.loaded("vfio_pci"); {
	case groups == 0 || !wanted || loaded:
	case programs: // the agent may load no module
		v.warn("modprobe vfio-pci && echo vfio-pci >> /etc/modules-load.d/vfio-pci.conf", "vfio-pci is not loaded: networks with mode: vfio do not work here")
	default:
		v.warn("modprobe vfio-pci", "vfio-pci is not loaded: libvirt loads it when it passes the first card")
	}
}

// drivesItself says whether a network of the controller on this machine is for programs
// that drive their VF.
func (v *visit) drivesItself() bool {
	return v.controller != nil && slices.ContainsFunc(v.controller.Networks, func(n nic.Network) bool { return n.Functions.UserSpace })
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
