package api

// Level is what a controller of this release understands of what agents send: 1
// knows tenants, the steps of a NIC, and nodes that carry out orders. One of a
// release before that says nothing, which is 0, and refuses a body with a field
// that it does not know.
const Level = 1

// LevelHeader says the controller's level with each of its answers, so that an
// agent knows it whenever the controller is replaced by one of another release.
const LevelHeader = "Nicferry-API-Level"
