package sriov

import "github.com/nicferry/nicferry/nic"

// The most that a node tells of, as package nic has it.
const (
	maxCards = 64
	maxTold  = 1024 // VFs of one card
)

// Cards are a node's cards in the words that it tells the controller, with the names
// that their VFs have there. What is beyond that which a node may tell is left out.
func Cards(pfs []PF, names map[Address]string) []nic.Card {
	cards := make([]nic.Card, 0, min(len(pfs), maxCards))
	for _, pf := range pfs[:min(len(pfs), maxCards)] {
		card := nic.Card{PCI: string(pf.Address), Name: pf.Name, MAC: pf.MAC, NUMA: pf.NUMA, Carrier: pf.Link.Carrier, Master: pf.Master}
		for _, vf := range pf.VFs[:min(len(pf.VFs), maxTold)] {
			card.VFs = append(card.VFs, nic.CardVF{
				PCI: string(vf.Address), Index: vf.Index, Name: names[vf.Address], Used: string(vf.Use.How), By: vf.Use.By,
			})
		}
		cards = append(cards, card)
	}
	return cards
}

// PFs are the cards that a node has told of, with what of them is told. What has no
// address of a PCI device is left out: it comes from outside.
func PFs(cards []nic.Card) []PF {
	pfs := make([]PF, 0, len(cards))
	for _, card := range cards {
		address, err := ParseAddress(card.PCI)
		if err != nil {
			continue
		}
		pf := PF{
			Address: address, Name: card.Name, MAC: card.MAC, NUMA: card.NUMA, Group: None, Master: card.Master,
			Link: Link{Up: card.Carrier, Carrier: card.Carrier}, TotalVFs: len(card.VFs), NumVFs: len(card.VFs),
		}
		for _, vf := range card.VFs {
			at, err := ParseAddress(vf.PCI)
			if err != nil || vf.Index < 0 || vf.Index >= maxVF {
				continue
			}
			pf.VFs = append(pf.VFs, VF{
				PF: address, Index: vf.Index, Address: at, Name: vf.Name, NUMA: card.NUMA, Group: None,
				Use: Use{How: Used(vf.Used), By: vf.By},
			})
		}
		pfs = append(pfs, pf)
	}
	return pfs
}
