package doctor

import (
	"context"
	"slices"
	"strings"
)

// checkDhcpcd reads whether dhcpcd serves all NICs there are. It knows them by
// their names alone, so there is no drop-in that keeps ours from it.
func checkDhcpcd(_ context.Context, v *visit) {
	if !v.anyExists("sbin/dhcpcd", "usr/sbin/dhcpcd", "usr/bin/dhcpcd") {
		v.ok("not installed")
		return
	}
	var allow, deny []string
	text, _ := v.read("etc/dhcpcd.conf")
	for line := range strings.Lines(text) {
		f := strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(" \t\r\n,", r) })
		switch {
		case len(f) > 1 && f[0] == "allowinterfaces":
			allow = append(allow, f[1:]...)
		case len(f) > 1 && f[0] == "denyinterfaces":
			deny = append(deny, f[1:]...)
		}
	}
	grabbed := slices.IndexFunc(samples(), func(s sample) bool {
		return !globs(deny, s.name) && (len(allow) == 0 || globs(allow, s.name))
	})
	const remedy = "list the machine's own NICs in /etc/dhcpcd.conf: allowinterfaces NAME…; dhcpcd cannot tell NICs by their MACs"
	switch {
	case grabbed < 0:
		v.ok("serves no NIC named as ours are")
	case v.enabled("dhcpcd.service") || v.process("dhcpcd"):
		v.fail(remedy, "dhcpcd would ask for an address on a NIC of ours named %s", samples()[grabbed].name)
	default:
		v.warn(remedy, "dhcpcd would ask for an address on a NIC of ours named %s, if it ran for all", samples()[grabbed].name)
	}
}
