package doctor

import (
	"context"
	"path"
	"regexp"
	"slices"
	"strings"
)

// A module is one that NICs need, and what does not work without it.
type module struct {
	name  string
	needs string
	// byCard: loaded when a card is plugged in, which takes udev; the others are
	// loaded when somebody makes a link of their kind.
	byCard bool
}

func (v *visit) modules() []module {
	all := []module{
		{"veth", "networks with veth", false},
		{"macvlan", "networks with macvlan", false},
		{"bridge", "networks with veth", false},
		{"sch_ingress", "NICs that are to be kept from the metadata service or from foreign addresses", false},
		{"cls_bpf", "NICs that are to be kept from the metadata service or from foreign addresses", false},
	}
	if v.onCloud() {
		all = append(all, module{"ipvlan", "interfaces that containers share (mode: shared)", false})
	}
	if here, on := v.cloud(); on && here.name == ecsName {
		all = append(all, module{"8021q", "members of an instance's trunk (mode: trunk)", false})
	}
	if v.agent != nil && len(v.agent.SRIOV.Cards) > 1 {
		all = append(all, module{"bonding", "bonds of two cards' virtual functions", false})
	}
	if v.exists("sys/bus/virtio") || strings.Contains(v.word("sys/class/dmi/id/sys_vendor"), "QEMU") {
		all = append(all, module{"virtio_net", "NICs that a hypervisor plugs in", true})
	}
	if v.controller != nil && v.usesLibvirt() {
		all = append(all, module{"tun", "NICs that a hypervisor plugs in", false}, module{"vhost_net", "their speed", false})
	}
	return all
}

// modulesFile has those loaded at boot that --fix has loaded.
const modulesFile = "etc/modules-load.d/nicferry.conf"

// checkModules reads whether the kernel has, or gets, what makes NICs.
func checkModules(_ context.Context, v *visit) {
	release := v.word("proc/sys/kernel/osrelease")
	dir := v.moduleDir(release)
	var fine []string
	for _, m := range v.modules() {
		why := v.blocked(m.name)
		switch {
		case v.loaded(m.name) || v.builtin(dir, m.name):
			fine = append(fine, m.name)
		case v.word("proc/sys/kernel/modules_disabled") == "1":
			v.warn("reboot, and load it before kernel.modules_disabled is set: echo "+m.name+" >> /"+modulesFile,
				"%s is not loaded, and the kernel takes no more modules: %s do not work", m.name, m.needs)
		case why != "":
			v.warn("remove that line, and: modprobe "+m.name, "%s may not be loaded, by %s: %s do not work", m.name, why, m.needs)
		case dir == "":
			// A kernel without a directory of modules has what it has; whether that
			// is enough is tried by the check of the kernel.
		case !v.available(dir, m.name):
			v.warn(v.modulesRemedy(release), "%s is not among the modules of kernel %s: %s do not work", m.name, release, m.needs)
		case v.loads(m):
			fine = append(fine, m.name)
		default:
			v.warn(fixRemedy+", which runs: modprobe "+m.name, "%s is not loaded, and nobody here loads it when it is needed: %s do not work", m.name, m.needs)
		}
	}
	switch {
	case !v.quiet():
	case dir == "" && len(fine) == 0:
		v.ok("cannot look: no modules of kernel %s are on this machine; see kernel", release)
	default:
		v.ok("%s are there or come when needed", strings.Join(fine, ", "))
	}
}

// toLoad are the modules that --fix loads.
func (v *visit) toLoad() []string {
	dir := v.moduleDir(v.word("proc/sys/kernel/osrelease"))
	if dir == "" || v.word("proc/sys/kernel/modules_disabled") == "1" {
		return nil
	}
	var names []string
	for _, m := range v.modules() {
		if !v.loaded(m.name) && !v.builtin(dir, m.name) && v.blocked(m.name) == "" && v.available(dir, m.name) && !v.loads(m) {
			names = append(names, m.name)
		}
	}
	return names
}

func (t tree) loaded(name string) bool { return t.exists("sys/module/" + name) }

// moduleDir is where a kernel's modules are; empty if there is none.
func (t tree) moduleDir(release string) string {
	if release == "" || strings.ContainsAny(release, "/\x00") || release[0] == '.' {
		return ""
	}
	for _, dir := range []string{"lib/modules/", "usr/lib/modules/"} {
		if t.exists(dir + release + "/modules.dep") {
			return dir + release
		}
	}
	return ""
}

func (t tree) builtin(dir, name string) bool {
	return dir != "" && t.names(dir+"/modules.builtin", name)
}

func (t tree) available(dir, name string) bool { return t.names(dir+"/modules.dep", name) }

// names says whether a list of module files has the module. Its name may have
// either dash.
func (t tree) names(file, name string) bool {
	text, _ := t.read(file)
	for line := range strings.Lines(text) {
		file, _, _ := strings.Cut(strings.TrimSpace(line), ":")
		base, _, _ := strings.Cut(path.Base(file), ".ko")
		if strings.ReplaceAll(base, "-", "_") == name {
			return true
		}
	}
	return false
}

// loads says whether a module comes when it is needed: by the kernel's own
// helper, and for a card by udev, which runs it.
func (t tree) loads(m module) bool {
	helper := t.word("proc/sys/kernel/modprobe")
	return helper != "" && t.exists(helper) && (!m.byCard || t.udev())
}

var installs = regexp.MustCompile(`^install\s+(\S+)\s+(/usr)?/bin/(true|false)\b`)

// blocked is the file that forbids a module; empty if none does.
func (t tree) blocked(name string) string {
	for _, f := range t.layers(".conf", "etc/modprobe.d", "run/modprobe.d", "usr/lib/modprobe.d", "lib/modprobe.d") {
		text, _ := t.read(f.path)
		for line := range strings.Lines(text) {
			m := installs.FindStringSubmatch(strings.TrimSpace(line))
			if m != nil && strings.ReplaceAll(m[1], "-", "_") == name {
				return "/" + f.path
			}
		}
	}
	return ""
}

// modulesRemedy is how the rest of a kernel's modules comes.
func (t tree) modulesRemedy(release string) string {
	text, _ := t.read("etc/os-release")
	ids := strings.Fields(strings.NewReplacer(`"`, " ", "=", " ").Replace(text))
	switch {
	case slices.Contains(ids, "ubuntu"):
		return "apt-get install linux-modules-extra-" + release
	case slices.Contains(ids, "debian"):
		return "apt-get install linux-image-amd64, and reboot; the cloud kernel is cut down"
	case slices.Contains(ids, "rhel"), slices.Contains(ids, "fedora"):
		return "dnf install kernel-modules-extra-" + release
	}
	return "install the kernel's further modules"
}
