//go:build weak

package sriov

const setsAside = false
