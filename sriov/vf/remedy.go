//go:build linux

package vf

import "github.com/nicferry/nicferry/nic"

// advise has each setting that a VF was refused say what to do about it.
func advise(err error, want nic.VFSettings) {
	for _, f := range Told[*FieldError](err) {
		f.Remedy = remedy(f.Field, want)
	}
}

// remedy says what to do where a driver does not set a field as a network wants it. To
// leave spoof check or trust out does not help against their defaults: they are always set.
func remedy(field string, want nic.VFSettings) string {
	const section, card = " of the network's sriov section", ", or take a card whose driver has it"
	switch {
	case field == spoofCheck && showSwitch(want.SpoofCheck) == switchOn:
		return "say spoofCheck: off in the network's sriov section, with which containers may send under any MAC" + card
	case field == spoofCheck:
		return "leave spoofCheck out" + section + ", which is on" + card
	case field == trust && showSwitch(want.Trust) == switchOff:
		return "say trust: on in the network's sriov section, with which containers may change their MAC and listen to all" + card
	case field == trust:
		return "leave trust out" + section + ", which is off" + card
	case field == vlan && want.VLAN.Tags() && want.VLAN.Protocol == nic.VLAN8021AD:
		return "leave protocol out" + section + ", which is 802.1Q" + card
	case field == vlan && want.VLAN.Tags():
		return "leave vlan out" + section + ", for frames without a tag" + card
	case field == rate, field == linkState:
		return "leave " + field + " out" + section + card
	}
	return "no network goes without it: take a card whose driver has it"
}
