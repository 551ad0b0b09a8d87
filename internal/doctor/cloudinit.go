package doctor

import (
	"context"
	"regexp"
)

// The values of `when` under updates.network, as a list of either form.
var (
	onHotplug = regexp.MustCompile(`(?m)^\s*(when:.*\bhotplug\b|-\s*["']?hotplug\b)`)
	onBoot    = regexp.MustCompile(`(?m)^\s*(when:.*\bboot\b["']?\s*[,\]]|-\s*["']?boot["']?\s*$)`)
)

// checkCloudInit reads whether cloud-init writes the machine's network
// configuration anew when NICs come.
func checkCloudInit(_ context.Context, v *visit) {
	switch {
	case !v.anyExists("usr/bin/cloud-init", "etc/cloud/cloud.cfg"):
		v.ok("not installed")
		return
	case v.exists("etc/cloud/cloud-init.disabled"):
		v.ok("switched off by /etc/cloud/cloud-init.disabled")
		return
	}
	files := append([]layer{{"cloud.cfg", "etc/cloud/cloud.cfg"}}, v.layers(".cfg", "etc/cloud/cloud.cfg.d")...)
	for _, f := range files {
		text, _ := v.read(f.path)
		if onHotplug.MatchString(text) && !v.marked() {
			v.fail(fixRemedy, "/%s has cloud-init configure each NIC that is plugged in", f.path)
		}
		if onBoot.MatchString(text) {
			v.warn("when: [boot-new-instance]", "/%s has cloud-init write the network anew at every boot, with the NICs of ours that are plugged in then", f.path)
		}
	}
	if v.quiet() {
		v.ok("is not told of our NICs when they are plugged in")
	}
}
