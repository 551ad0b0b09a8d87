package nic

// Traffic is what a NIC has carried since its link was made, as its container
// sees it.
type Traffic struct {
	RxBytes, RxPackets, RxErrors, RxDropped uint64 // received
	TxBytes, TxPackets, TxErrors, TxDropped uint64 // transmitted
}
