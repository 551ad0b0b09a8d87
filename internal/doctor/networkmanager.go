package doctor

import (
	"context"
	"slices"
	"strings"
)

// checkNetworkManager reads whether NetworkManager would make a connection of
// its own for a new NIC. It takes no beginning of a MAC in its files, only whole
// ones: our NICs are kept from it by a property that udev sets.
func checkNetworkManager(_ context.Context, v *visit) {
	if !v.anyExists("usr/sbin/NetworkManager", "usr/bin/NetworkManager", "sbin/NetworkManager") {
		v.ok("not installed")
		return
	}
	add := v.warn
	if v.enabled("NetworkManager.service") || v.process("NetworkManager") {
		add = v.fail
	}
	files := v.layers(".conf", "etc/NetworkManager/conf.d", "run/NetworkManager/conf.d", "usr/lib/NetworkManager/conf.d")
	files = append(files, layer{"NetworkManager.conf", "etc/NetworkManager/NetworkManager.conf"}) // the last word
	covered := ""
	for _, f := range files {
		text, _ := v.read(f.path)
		for _, s := range settings(text) {
			switch {
			case s.section == "keyfile" && s.key == "unmanaged-devices" && coversAll(s.value):
				covered = f.path
			case strings.HasPrefix(s.section, "device") && s.key == "managed" && truth(s.value):
				v.warn("name the machine's own NICs there, by match-device=",
					"/%s says managed=%s in [%s], which counts for more than udev's NM_UNMANAGED", f.path, s.value, s.section)
			}
		}
	}
	switch {
	case v.marked():
		v.ok("leaves our NICs, by the property NM_UNMANAGED that udev sets")
	case covered != "":
		v.ok("leaves all NICs that are not excepted, by /%s", covered)
	default:
		add(fixRemedy, "NetworkManager would ask for an address on each NIC that is plugged in")
	}
}

// coversAll says whether a list of devices names every Ethernet NIC.
func coversAll(list string) bool {
	return slices.ContainsFunc(strings.FieldsFunc(list, func(r rune) bool { return r == ';' || r == ',' || r == ' ' }),
		func(spec string) bool {
			return spec == "*" || spec == "interface-name:*" || spec == "type:ethernet" || spec == "driver:*"
		})
}
