package doctor

// bridgeAlias is what the agent marks its bridges with.
const bridgeAlias = "nicferry:bridge"

// checkBridges finds bridges of nicferry's whose frames the kernel shows the
// machine's firewall. Docker's drops what passes a bridge that is not Docker's,
// unless a rule of somebody's lets it pass: the doctor does not read the rules.
func checkBridges(v *visit) {
	if v.Kernel == nil || v.word("proc/sys/net/bridge/bridge-nf-call-iptables") != "1" {
		return
	}
	nics, err := v.Kernel.NICs()
	if err != nil {
		return // told by who asks for NICs
	}
	for _, n := range nics {
		if n.Kind != "bridge" || v.word("sys/class/net/"+n.Name+"/ifalias") != bridgeAlias {
			continue
		}
		v.warn("iptables -I DOCKER-USER -i "+n.Name+" -o "+n.Name+" -j ACCEPT",
			"net.bridge.bridge-nf-call-iptables is 1: Docker's firewall drops what containers send each other over %s, unless a rule lets it pass", n.Name)
	}
}
