package nic

import (
	"encoding/json"
	"time"
)

// A Reservation says who has an address, a MAC or a number. While it is there
// nobody else is given that; who wants it changes this record or gets nothing.
type Reservation struct {
	Schema int `json:"schema"`
	// Claim is the holder of an address or a MAC; empty once it has ended.
	Claim ClaimID `json:"claim,omitempty"`
	// Owner is the container name that the claim is or was of, as the store's
	// key of its Kept has it; or the NIC that has its MAC for itself, as a spare;
	// or the holder of a number. Empty where there is none.
	Owner   string `json:"owner,omitempty"`
	Network string `json:"network,omitempty"`
	// Tenant is whose it is or was; empty is the default one's, and nobody's
	// where nobody has had it.
	Tenant string `json:"tenant,omitempty"`
	// Free is when others may have it; zero while it is held.
	Free time.Time `json:"free,omitzero"`
	// Until is when it is forgotten; zero while it is held.
	Until time.Time `json:"until,omitzero"`
}

// Held says whether somebody has it now.
func (r Reservation) Held() bool { return r.Until.IsZero() }

// OpenTo says whether owner may have it now: it is not held, and was the
// owner's or has cooled down.
func (r Reservation) OpenTo(owner string, now time.Time) bool {
	return !r.Held() && (owner != "" && r.Owner == owner || !now.Before(r.Free))
}

// UnmarshalJSON also reads what stood here before there was more to say: the
// holder's id alone.
func (r *Reservation) UnmarshalJSON(data []byte) error {
	var claim ClaimID
	if len(data) > 0 && data[0] == '"' && json.Unmarshal(data, &claim) == nil {
		*r = Reservation{Schema: Schema, Claim: claim}
		return nil
	}
	type plain Reservation // without this method
	return json.Unmarshal(data, (*plain)(r))
}

// A Kept is the identity that a container name has on a node. It outlives the
// container, so that the next one of that name gets it again.
type Kept struct {
	Schema  int    `json:"schema"`
	Network string `json:"network"`
	Tenant  string `json:"tenant,omitempty"`
	// Claim has the identity; empty once it has ended.
	Claim    ClaimID  `json:"claim,omitempty"`
	Identity Identity `json:"identity,omitzero"`
	// Until is when it is forgotten; zero while the claim lives.
	Until time.Time `json:"until,omitzero"`
}
