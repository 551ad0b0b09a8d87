package doctor

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/nicferry/nicferry/internal/pulse"
)

// slowPulse is longer than the kernel takes over a crowd of NICs on a small
// machine that is busy.
const slowPulse = 500 * time.Millisecond

func checkKernel(_ context.Context, v *visit) {
	release := v.word("proc/sys/kernel/osrelease")
	if !v.exists("proc/self/ns/net") && !v.exists("proc/1/ns/net") {
		v.fail("boot a kernel with CONFIG_NET_NS", "kernel %q has no network namespaces", release)
	}
	if v.Kernel == nil || v.stuck {
		return
	}
	var made, missing []string
	for _, kind := range []string{"veth", "macvlan"} {
		if err := v.Kernel.CanMake(kind); err != nil {
			missing = append(missing, kind+": "+err.Error())
		} else {
			made = append(made, kind)
		}
	}
	if len(missing) > 0 {
		v.warn("as root; or install the kernel's modules (Debian: linux-modules-…, not the cut-down cloud ones)",
			"kernel %s makes no %s: networks of that kind do not work here", release, strings.Join(missing, "; "))
		return
	}
	v.ok("kernel %s has network namespaces and makes %s", release, strings.Join(made, " and "))
	checkAbilities(v, release)
}

// What NICs need of the kernel besides links, for Kernel.CanMake.
const (
	filtering     = "egress filter"
	policyRouting = "routing rule"
)

// checkAbilities tries what a container's NIC needs on a cloud: to be kept from the
// metadata service, which all have unless their network says otherwise, to send its
// replies out by itself, and to be shared. Links can be made here, so that it is not
// for want of a right if these cannot.
func checkAbilities(v *visit, release string) {
	var made []string
	for _, a := range []struct {
		kind, is, lost, remedy string
		say                    func(remedy, format string, args ...any)
		needed                 bool
	}{
		{
			filtering, "filters on what a NIC sends", "no NIC comes into a container, as it could not be kept from the metadata service",
			"modprobe sch_ingress cls_bpf (CONFIG_NET_SCH_INGRESS, CONFIG_NET_CLS_BPF); or say metadata: true in all networks", v.fail, true,
		},
		{
			policyRouting, "policy routing", "containers with several NICs, or with one beside a Docker network, do not work here",
			"boot a kernel with CONFIG_IP_MULTIPLE_TABLES and CONFIG_IPV6_MULTIPLE_TABLES", v.warn, true,
		},
		{
			"ipvlan", "ipvlan", "containers cannot share an interface (mode: shared)",
			"modprobe ipvlan (CONFIG_IPVLAN); or give each container its own (mode: dedicated)", v.warn, v.onCloud(),
		},
	} {
		if !a.needed {
			continue
		}
		if err := v.Kernel.CanMake(a.kind); err != nil {
			a.say(a.remedy, "kernel %s has no %s: %s: %v", release, a.is, a.lost, err)
			continue
		}
		made = append(made, a.is)
	}
	if len(made) > 0 {
		v.ok("kernel %s has %s", release, strings.Join(made, ", "))
	}
}

// checkPulse is for F42: one namespace that does not go away blocks all others.
func checkPulse(ctx context.Context, v *visit) {
	if v.Kernel == nil {
		return
	}
	const wait = "wait, or reboot: no process can release what the kernel itself holds"
	messages, _ := v.Kernel.Messages()
	stuck := ""
	for _, m := range messages {
		if strings.Contains(m, "unregister_netdevice: waiting for") {
			stuck = m
		}
	}
	took, err := v.Kernel.Beat(ctx)
	switch {
	case errors.Is(err, pulse.ErrStuck):
		v.stuck = true
		v.fail(wait, "%v; its log: %.160q", err, stuck)
	case err != nil:
		v.warn("run it as root", "the kernel cannot be asked for a link: %v", err)
	case took > slowPulse:
		v.warn("", "the kernel took %s to look one link up: much is made or removed just now", took.Round(time.Millisecond))
	default:
		v.ok("the kernel answers about its links in %s", roundUp(took))
	}
	if stuck != "" && err == nil {
		v.warn(wait, "the kernel has waited for a device to be released: %.160q", stuck)
	}
}

// roundUp keeps a figure from being more exact than it is worth.
func roundUp(d time.Duration) string {
	if d < time.Millisecond {
		return "less than 1ms"
	}
	return d.Round(time.Millisecond).String()
}

func checkClock(_ context.Context, v *visit) {
	if v.Kernel == nil {
		return
	}
	const remedy = "run an NTP client, such as systemd-timesyncd or chrony"
	switch synced, err := v.Kernel.ClockSynced(); {
	case err != nil:
		v.warn("", "the clock cannot be asked whether it is set by another: %v", err)
	case !synced:
		v.warn(remedy, "the clock follows no other: times in logs and leases may be wrong")
	default:
		v.ok("the clock follows another")
	}
}

// checkSysctls finds what a container's namespace would inherit, or what routes
// around it.
func checkSysctls(_ context.Context, v *visit) {
	for _, name := range []string{"all", "default"} {
		if v.word("proc/sys/net/ipv4/conf/"+name+"/rp_filter") == "1" {
			v.warn("sysctl -w net.ipv4.conf."+name+".rp_filter=2",
				"net.ipv4.conf.%s.rp_filter is 1 (strict): a container with several NICs may lose what comes in by the second", name)
		}
	}
	switch {
	case !v.exists("proc/sys/net/ipv6"):
		why := "the kernel has none"
		if words := strings.Fields(v.word("proc/cmdline")); slices.Contains(words, "ipv6.disable=1") {
			why = "ipv6.disable=1 is on the kernel's command line"
		}
		v.warn("boot without ipv6.disable=1", "IPv6 is off on this machine (%s): networks with IPv6 fail here", why)
	case v.word("proc/sys/net/ipv6/conf/default/disable_ipv6") == "1":
		v.ok("IPv6 is off for new NICs of this machine; nicferry switches it on where a network has it")
	}
	checkBridges(v)
	if v.word("proc/sys/net/ipv4/ip_forward") == "1" && !v.exists("proc/sys/net/bridge") {
		v.ok("the machine forwards IPv4, as Docker wants; NICs in containers do not go through it")
	}
	if v.quiet() {
		v.ok("nothing that containers would inherit to their harm")
	}
}
