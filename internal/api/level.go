package api

// Level is what a controller of this release understands of what agents send: 1, the
// release before, knows tenants, the steps of a NIC, and nodes that carry out orders;
// 2 knows LevelCards too. A controller refuses a body with a field that it does not
// know.
const Level = 2

// LevelCards is from which level on a controller knows nodes' cards, how their VFs were
// set before, and which processors a container is bound to.
const LevelCards = 2

// LevelHeader says the controller's level with each of its answers, so that an
// agent knows it whenever the controller is replaced by one of another release.
const LevelHeader = "Nicferry-API-Level"

// StandbyHeader is in the answers of a controller that stands by while another one
// works: the next address is to be tried.
const StandbyHeader = "Nicferry-Standby"
