package doctor

import (
	"context"
	"regexp"
	"strings"
)

var (
	givesName = regexp.MustCompile(`(^|[\s,])NAME\s*:?=\s*"[^"]`)
	forMAC    = regexp.MustCompile(`ATTRS?\{address\}\s*==\s*"([^"]*)"`)
)

// checkRenames finds udev rules of this machine that would give a NIC of ours
// another name. Those of the distribution go by .link files, of which ours is
// the first.
func checkRenames(_ context.Context, v *visit) {
	if !v.udev() {
		v.ok("not installed")
		return
	}
	for _, f := range v.layers(".rules", "etc/udev/rules.d", "run/udev/rules.d") {
		text, _ := v.read(f.path)
		for i, line := range strings.Split(strings.ReplaceAll(text, "\\\n", " "), "\n") {
			line = strings.TrimSpace(line)
			if line == "" || line[0] == '#' || !givesName.MatchString(line) || strings.Contains(line, "GOTO=") {
				continue
			}
			if mac := forMAC.FindStringSubmatch(line); mac != nil && !globs(strings.Split(mac[1], "|"), sampleMAC) {
				continue
			}
			v.warn("name the NICs there by whole MACs", "/%s, line %d, may give a NIC of ours another name: %.120q", f.path, i+1, line)
		}
	}
	if v.systemd() >= firstProperty && !v.inPlace(linkFile) {
		v.warn(fixRemedy, "a NIC of ours gets a name, and perhaps a MAC, by the machine's own .link files")
	}
	if v.quiet() {
		v.ok("no rule of this machine gives a NIC of ours another name")
	}
}
