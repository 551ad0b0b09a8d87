package nic

import (
	"slices"
	"time"
)

// A Condition is a named wait or refusal on a claim, a NIC or a node. Phases
// are few, conditions many.
type Condition struct {
	// Reason is one CamelCase word for programs, such as AddressTaken.
	Reason Reason `json:"reason"`
	// Message says to a person what is the matter and what would help.
	Message string    `json:"message"`
	Since   time.Time `json:"since"`
	// Deadline is when the wait is given up, or a refusal tried again by itself;
	// zero where it has no end of its own.
	Deadline time.Time `json:"deadline,omitzero"`
}

// Reason names a condition.
type Reason string

// The reasons in use. A new one is added here, so that the docs can list all.
const (
	ReasonBadRequest         Reason = "BadRequest"          // the label cannot be read, or asks for what cannot be
	ReasonImageLabel         Reason = "ImageLabel"          // the image asks, and the network takes labels of docker run alone
	ReasonUnknownNetwork     Reason = "UnknownNetwork"      // no network of that name in the config
	ReasonAddressTaken       Reason = "AddressTaken"        // the asked address has a holder
	ReasonAddressNotAllowed  Reason = "AddressNotAllowed"   // outside the network's subnets, or excluded
	ReasonMACTaken           Reason = "MACTaken"            // the asked MAC has a holder
	ReasonTenantNotAllowed   Reason = "TenantNotAllowed"    // the node's tenant may not have what is asked for
	ReasonQuotaExceeded      Reason = "QuotaExceeded"       // the tenant has as much as it may have
	ReasonExhausted          Reason = "Exhausted"           // no free address or slot
	ReasonProviderError      Reason = "ProviderError"       // the provider's last answer was an error
	ReasonWaitingForProvider Reason = "WaitingForProvider"  // the provider has the order and is at it
	ReasonWaitingForNode     Reason = "WaitingForNode"      // the node has not reported yet
	ReasonWaitingForNIC      Reason = "WaitingForNIC"       // the NIC is plugged in, they say, and not in the host namespace
	ReasonWaitingForDHCP     Reason = "WaitingForDHCP"      // no lease yet
	ReasonCheckingAddress    Reason = "CheckingAddress"     // an address is probed for another holder before it is set
	ReasonAddressConflict    Reason = "AddressConflict"     // another holder of the address answers on the wire
	ReasonAddressClash       Reason = "AddressClash"        // two claims have one address, one of them at least not by us
	ReasonWaitingForFormer   Reason = "WaitingForFormer"    // the last container of the name is still giving its NIC back
	ReasonConfigChanged      Reason = "ConfigChanged"       // the config does not allow any more what the claim has, and keeps
	ReasonGatewayMissing     Reason = "GatewayMissing"      // a gateway does not answer on the wire
	ReasonNodeError          Reason = "NodeError"           // a step on the node failed
	ReasonNodeSilent         Reason = "NodeSilent"          // the node's agent has said nothing for a while
	ReasonNodeRevoked        Reason = "NodeRevoked"         // the node's trust was taken away: its agent is refused
	ReasonUnreachable        Reason = "ProviderUnreachable" // the provider does not answer
	ReasonWaitingForSlot     Reason = "WaitingForSlot"      // the slots that are free are promised to other NICs
	ReasonWaitingForTurn     Reason = "WaitingForTurn"      // the provider is not asked more often than it allows
	ReasonMoved              Reason = "Moved"               // the container has given its claim to one on another node
	ReasonMoveParked         Reason = "MoveParked"          // the claim's move goes neither on nor back without an operator
	ReasonNoPublicAddress    Reason = "NoPublicAddress"     // the claim's public address is missing, or cannot be given back
	ReasonUnrecorded         Reason = "Unrecorded"          // it had no record, and is being taken back
	ReasonStoreUnreachable   Reason = "StoreUnreachable"    // the controller's store takes no records: nothing new begins
	ReasonNotLeading         Reason = "NotLeading"          // the controller answers and does no work
	ReasonStuck              Reason = "Stuck"               // a step of the controller's work does not end
	ReasonVFUnusable         Reason = "VFUnusable"          // the node cannot make the NIC of the VFs that were chosen for it
	ReasonCardBusy           Reason = "CardBusy"            // a card carries links of another kind, and the node cannot make the NIC on it
	ReasonFellBack           Reason = "FellBack"            // no VF was free, and the container has what its network gives instead
	ReasonWaitingForRecord   Reason = "WaitingForRecord"    // the controller is to note how a VF was set before, and then it is set
	ReasonNothingLeaves      Reason = "NothingLeaves"       // no frame with the NIC's MAC has been seen to leave yet
	ReasonSetByHand          Reason = "SetByHand"           // a VF or a port was set otherwise by somebody, and was put right
	ReasonPromiscuous        Reason = "Promiscuous"         // a card takes what is not for it
	ReasonSpoofCheckUntold   Reason = "SpoofCheckUntold"    // a card's driver does not tell whether it stops frames with another MAC
	ReasonMemberDown         Reason = "MemberDown"          // a bond goes on without one of its cards
	ReasonLinkDown           Reason = "LinkDown"            // a VF in its container has lost its link
	ReasonOverlappingVFs     Reason = "OverlappingVFs"      // two networks have VFs of a node's card in common
	ReasonDeviceNotGiven     Reason = "DeviceNotGiven"      // the container may not open the device that its program is to drive
)

// SetCondition adds c, or updates the one with its reason. Since stays that of
// the first time, so that people see how long it has been so; it reports
// whether anything but the time changed.
func SetCondition(cs *[]Condition, c Condition) bool {
	for i, old := range *cs {
		if old.Reason != c.Reason {
			continue
		}
		c.Since = old.Since
		changed := old.Message != c.Message || !old.Deadline.Equal(c.Deadline)
		(*cs)[i] = c
		return changed
	}
	*cs = append(*cs, c)
	return true
}

// ClearCondition drops the conditions with the given reasons, or all if none
// is given, and reports whether there were any.
func ClearCondition(cs *[]Condition, reasons ...Reason) bool {
	before := len(*cs)
	*cs = slices.DeleteFunc(*cs, func(c Condition) bool {
		return len(reasons) == 0 || slices.Contains(reasons, c.Reason)
	})
	return len(*cs) != before
}
