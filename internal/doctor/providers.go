package doctor

import (
	"context"
	"io/fs"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/nicferry/nicferry/internal/conf"
	"github.com/nicferry/nicferry/nic"
)

// hypervisors are the URIs of the controller's providers.
func (v *visit) hypervisors() []*url.URL {
	if v.controller == nil {
		return nil
	}
	var all []*url.URL
	for _, p := range v.controller.Providers {
		if p.Kind != conf.KindLibvirt || p.Libvirt == nil {
			continue
		}
		if u, err := url.Parse(p.Libvirt.URI); err == nil {
			all = append(all, u)
		}
	}
	return all
}

// usesLibvirt says whether this machine itself is to plug NICs into VMs.
func (v *visit) usesLibvirt() bool {
	return slices.ContainsFunc(v.hypervisors(), func(u *url.URL) bool { return u.Hostname() == "" })
}

// checkProviders looks for what the configured providers need of this machine.
func checkProviders(_ context.Context, v *visit) {
	if v.controller == nil {
		v.warn("nicferry config check "+v.ControllerConfig, "not looked at: the config does not say which there are")
		return
	}
	all := v.hypervisors()
	if len(all) == 0 {
		v.ok("no provider needs anything of this machine")
		return
	}
	if !v.hasLibrary("libvirt.so.0") {
		v.fail("apt-get install libvirt0, or dnf install libvirt-libs", "libvirt.so.0 is not on this machine: no provider of the kind libvirt works")
	}
	for _, u := range all {
		if u.Hostname() != "" {
			v.ok("%s is on another machine; see status for whether it answers", u.Redacted())
			continue
		}
		v.checkLibvirtSocket(u)
	}
	if v.usesLibvirt() && !v.exists("dev/kvm") {
		v.warn("modprobe kvm_intel || modprobe kvm_amd; in a VM, switch nested virtualisation on",
			"/dev/kvm is not there: virtual machines here are emulated, and NICs take longer to come")
	}
}

// hasLibrary looks where the loader of Debian's and Red Hat's looks.
func (t tree) hasLibrary(name string) bool {
	for _, lib := range []string{"lib", "usr/lib", "lib64", "usr/lib64", "usr/local/lib"} {
		if t.exists(lib + "/" + name) {
			return true
		}
		for _, dir := range t.list(lib) {
			if strings.Contains(dir, "-linux-gnu") && t.exists(lib+"/"+dir+"/"+name) {
				return true
			}
		}
	}
	return false
}

// checkLibvirtSocket wants a hypervisor's socket that the controller's account
// may open.
func (v *visit) checkLibvirtSocket(u *url.URL) {
	name := u.Query().Get("socket")
	for _, usual := range []string{"/run/libvirt/virtqemud-sock", "/run/libvirt/libvirt-sock", "/var/run/libvirt/libvirt-sock"} {
		if name == "" && v.exists(usual) {
			name = usual
		}
	}
	info, err := os.Stat(v.path(name))
	switch {
	case name == "" || err != nil:
		v.fail("systemctl start libvirtd, or virtqemud.socket; apt-get install libvirt-daemon-system", "no libvirt serves %s on this machine", u)
		return
	case info.Mode()&fs.ModeSocket == 0:
		v.fail("systemctl restart libvirtd", "%s is no socket", name)
		return
	}
	group := v.group(info)
	members, _ := v.members(group)
	switch {
	case !v.hasAccount("nicferry") || info.Mode().Perm()&0o006 == 0o006:
		v.ok("%s is there", name)
	case info.Mode().Perm()&0o060 != 0o060 || !slices.Contains(members, "nicferry"):
		v.warn("usermod -aG libvirt nicferry && systemctl restart nicferryd", "%s is for group %s, of which nicferry, the controller's account, is no member", name, group)
	default:
		v.ok("%s is there, and open to the controller's account", name)
	}
}

// hasAccount says whether there is a user of that name.
func (t tree) hasAccount(name string) bool {
	_, _, ok := t.account(name)
	return ok
}

// account finds a user's number and group; false if there is no such user.
func (t tree) account(name string) (uid, gid int, ok bool) {
	text, _ := t.read("etc/passwd")
	for line := range strings.Lines(text) {
		f := strings.Split(line, ":")
		if len(f) < 4 || f[0] != name {
			continue
		}
		uid, err := strconv.Atoi(f[2])
		gid, gidErr := strconv.Atoi(f[3])
		return uid, gid, err == nil && gidErr == nil
	}
	return 0, 0, false
}

// checkSwitches looks for the bridges and interfaces that networks name, where
// this machine's libvirt is to plug NICs into them.
func checkSwitches(_ context.Context, v *visit) {
	if !v.usesLibvirt() {
		v.ok("no network has its switch on this machine")
		return
	}
	for _, n := range v.controller.Networks {
		dir := "sys/class/net/" + n.Port.Name
		switch n.Port.Kind {
		case nic.PortBridge:
			if !v.exists(dir + "/bridge") {
				v.fail("ip link add "+n.Port.Name+" type bridge && ip link set "+n.Port.Name+" up", "network %s: no bridge %s on this machine", n.Name, n.Port.Name)
			}
		case nic.PortMacvtap:
			if !v.exists(dir) {
				v.fail("ip -d link", "network %s: no interface %s on this machine", n.Name, n.Port.Name)
			}
		case nic.PortOVS:
			v.checkOVS(n)
		}
	}
	if v.quiet() {
		v.ok("the bridges and interfaces of %d networks are there", len(v.controller.Networks))
	}
}

func (v *visit) checkOVS(n nic.Network) {
	switch {
	case !v.anyExists("run/openvswitch/db.sock", "var/run/openvswitch/db.sock"):
		v.fail("apt-get install openvswitch-switch && systemctl start openvswitch-switch", "network %s: no Open vSwitch runs on this machine", n.Name)
	case !v.exists("sys/class/net/" + n.Port.Name):
		v.fail("ovs-vsctl add-br "+n.Port.Name, "network %s: no Open vSwitch bridge %s on this machine", n.Name, n.Port.Name)
	}
}
