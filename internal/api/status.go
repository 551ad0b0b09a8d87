package api

import "github.com/nicferry/nicferry/nic"

// A Status is how the controller is: what, if anything, keeps it from its work.
type Status struct {
	Version Version `json:"version"`
	// Conditions are its degraded modes by name: the store, providers and nodes
	// that do not answer. Empty is well.
	Conditions []nic.Condition `json:"conditions" nullable:"false"`
}
