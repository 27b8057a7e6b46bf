package callback

import (
	"strings"

	"github.com/dop251/goja"
)

// documented lists the members that the original system documented and this
// library does not carry, by class: what only a host can supply.
func documented(class string) string {
	switch class {
	case "Spark":
		return "getCache getChallenge getChallengeFromMessage getConfig getEventData getFiles getGameDataService " +
			"getLeaderboards getMatch getMessage getMultiplayer getProperties getProperty getPropertySet getPurchase " +
			"getRedis getRequest getResponse getScheduler getTeams getUploadedUrl getUploadUrl lockKey loadChallenge " +
			"loadPlayer message metaCollection runtimeCollection sendRequest sendRequestAs sendRequestAsPlayer " +
			"setScriptErrors systemCollection transaction unlockKey"
	case "SparkPlayer":
		return "addTag addVGood consumeVGood credit credit1 credit2 credit3 credit4 credit5 credit6 debit debit1 " +
			"debit2 debit3 debit4 debit5 debit6 disconnect getAchievements getBalance getBalance1 getBalance2 " +
			"getBalance3 getBalance4 getBalance5 getBalance6 getCreationDate getDisplayName getExternalIds getFriendIds " +
			"getLastSeen getLocationCity getLocationCountry getLocationLatitude getLocationLongitude getOnlineStatus " +
			"getPassword getPlayerScriptData getPrivateData getPushRegistrations getScriptData getSegments getSegmentValue " +
			"getTags getTeamIds getUserName getVGood getVGoods hasAchievement hasTag hasVGood isOnline removeAchievement " +
			"removePrivateData removeScriptData removeTag setDisplayName setPassword setPrivateData setScriptData " +
			"setSegmentValue setUserName useVGood addAchievement"
	}
	return ""
}

// missing makes what a script finds under a name that the library does not
// carry: for a documented member a function that throws an error naming it,
// else nothing.
func (r *run) missing(class, name string) goja.Value {
	for _, known := range strings.Fields(documented(class)) {
		if known == name {
			return r.function(name, func(goja.FunctionCall) goja.Value {
				r.throw("%s.%s is not supplied: the host of these scripts can supply it", class, name)
				return nil
			})
		}
	}
	return nil
}
