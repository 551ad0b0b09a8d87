package doctor

import (
	"context"
	"slices"
	"strings"
)

// checkNetworkd plays the machine's .network files through for NICs like ours:
// the first that matches is the only one that counts.
func checkNetworkd(_ context.Context, v *visit) {
	if !v.anyExists("lib/systemd/systemd-networkd", "usr/lib/systemd/systemd-networkd") {
		v.ok("not installed")
		return
	}
	files := v.layers(".network", "etc/systemd/network", "run/systemd/network", "usr/local/lib/systemd/network",
		"usr/lib/systemd/network", "lib/systemd/network")
	active := v.enabled("systemd-networkd.service") || v.process("systemd-networkd")
	grabs := map[string][]string{}
	var order []string
	for _, s := range samples() {
		for _, f := range files {
			text, _ := v.read(f.path)
			lines := settings(text)
			if !matches(lines, s, v.marked()) {
				continue
			}
			if !unmanaged(lines) {
				if grabs[f.path] == nil {
					order = append(order, f.path)
				}
				grabs[f.path] = append(grabs[f.path], s.name)
			}
			break
		}
	}
	remedy := fixRemedy
	if v.systemd() < firstProperty {
		remedy = "name the machine's own NICs in its [Match]"
	}
	for _, path := range order {
		names := strings.Join(grabs[path], ", ")
		if active {
			v.fail(remedy, "/%s would configure a NIC of ours named %s", path, names)
		} else {
			v.warn(remedy, "/%s would configure a NIC of ours named %s, if systemd-networkd ran", path, names)
		}
	}
	if len(order) == 0 {
		v.ok("none of %d .network files would configure a NIC of ours", len(files))
	}
	if len(v.list("etc/netplan")) > 0 {
		v.ok("netplan's own .network files begin with 10-, and so come after ours")
	}
}

func unmanaged(lines []setting) bool {
	return slices.ContainsFunc(lines, func(s setting) bool { return s.section == "Link" && s.key == "Unmanaged" && truth(s.value) })
}

// matches says whether a [Match] section is for a NIC like s; marked: udev has
// given it our property. Keys that say nothing about the NIC are taken to hold.
// A section without a key is for none, as systemd has it.
func matches(lines []setting, s sample, marked bool) bool {
	keys := 0
	for _, l := range lines {
		if l.section != "Match" || l.value == "" {
			continue
		}
		keys++
		if !holds(l.key, l.value, s, marked) {
			return false
		}
	}
	return keys > 0
}

func holds(key, value string, s sample, marked bool) bool {
	words := strings.Fields(value)
	switch key {
	case "Name", "OriginalName":
		return listed(words, s.name)
	case "Driver":
		return listed(words, s.driver)
	case "Kind":
		return s.kind != "" && listed(words, s.kind)
	case "Type":
		return listed(words, "ether")
	case "MACAddress":
		return slices.ContainsFunc(words, func(w string) bool { return strings.EqualFold(w, sampleMAC) })
	case "Property":
		return marked && len(words) == 1 && words[0] == "NICFERRY=1"
	case "PermanentMACAddress", "Path", "WLANInterfaceType", "SSID", "BSSID":
		return false
	}
	return true
}

// listed reads a list of patterns, of which the first may begin with ! and then
// turns the list round.
func listed(words []string, s string) bool {
	if len(words) == 0 {
		return false
	}
	if first, not := strings.CutPrefix(words[0], "!"); not {
		return !globs(append([]string{first}, words[1:]...), s)
	}
	return globs(words, s)
}
