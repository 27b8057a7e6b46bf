package cloudcode

import "strings"

// Members lists the members that the original system documented for a class
// and this library does not carry, space separated and sorted: what only a host
// can supply. The names are those of its Cloud Code reference, of all its
// editions; Spark.systemCollection and SparkMongoCursor.toArray, which no
// edition had but many scripts call, are with them.
//
// Of SparkHttp, SparkHttpResponse, SparkLog and SparkDigest the library carries
// everything, so they have no entry.
func Members(class string) string {
	switch class {
	case "Spark":
		return "dismissMessage downloadableJson downloadableXml find getBulkScheduler getCache getChallenge " +
			"getConfig getFiles getGameDataService getLeaderboards getMultiplayer getPlayerIds getProperties " +
			"getRedis getScheduler getSparkScriptOptions getTeams getUploadableUtils loadPlayer " +
			"loadPlayerByExternalId lock lockKey logEvent message metaCollection remove runtimeCollection save " +
			"sendGrid sendMessage sendMessageById sendMessageByIdExt sendMessageByIdWithoutPush sendMessageExt " +
			"sendMessageWithoutPush sendRequest sendRequestAs systemCollection unlock unlockKey unlockKeyFully " +
			"uploadedJson uploadedXml"

	// Players, teams and what is sent to them.
	case "SparkPlayer":
		return "addAchievement addVGood credit credit1 credit2 credit3 credit4 credit5 credit6 debit debit1 debit2 " +
			"debit3 debit4 debit5 debit6 deletePlayer disconnect dismissMessage getAchievements getAllBalances " +
			"getBalance getBalance1 getBalance2 getBalance3 getBalance4 getBalance5 getBalance6 getCreationDate " +
			"getDisplayName getExperimentSegments getExternalIds getFriendIds getLastSeen getPrivateData " +
			"getPushRegistrations getScriptData getSegmentValue getSegments getUserName getVirtualGoods " +
			"hasAchievement hasVGood hideOnLeaderboards isHiddenOnLeaderboards isOnline matchesMongoQuery " +
			"matchesMongoQueryString persist removeAchievement removeExperiment removePrivateData " +
			"removePushRegistration removeScriptData resetAuthTokens setExperimentSegment setPassword " +
			"setPrivateData setScriptData setSegmentValue showOnLeaderboards unlock useVGood validatePassword"
	case "SparkPlayerExperimentSegment":
		return "getExperimentId getSegmentName"
	case "SparkPushRegistration":
		return "getDeviceOS getId getPushId"
	case "SparkMessage":
		return "send setDeviceTypes setExpireAfterHours setIncludeInPushCount setMessageData setPlayerIds " +
			"setSendAsPush setSendViaSocket setSupressPushOnSocketSend"
	case "SparkTeams":
		return "getTeam getTeamByOwnerIdAndTeamType"
	case "SparkTeam":
		return "addAchievement addMembers deleteChatMessage drop getChatMessage getMemberIds getOwnerId getTeamId " +
			"getTeamName getTeamType listChatMessages removeAchievement removeMembers setOwnerId setTeamName"
	case "ChatMessage":
		return "getFromId getId getMessage getWhen getWho"
	case "SendGrid":
		return "addDownloadable addHeader addTo addUploaded send setBcc setFrom setHtml setReplyTo setSubject " +
			"setText"

	// Stored data.
	case "SparkCache":
		return "get put remove removeAll"
	case "SparkRedis":
		return "append bitcount bitop decr decrBy del exists expire expireAt flushdb geoadd geodist geohash geopos " +
			"georadius georadiusbymember get getSet getbit getrange hdel hexists hget hgetAll hincrBy " +
			"hincrByFloat hkeys hlen hmget hmset hset hsetnx hvals incr incrBy incrByFloat keys lindex linsert " +
			"llen lpop lpush lpushx lrange lrem lset ltrim mget mset msetnx persist pexpire pexpireAt psetex " +
			"pttl rename renamenx rpop rpoplpush rpush rpushx sadd scard sdiff sdiffstore set setbit setex " +
			"setnx setrange sinter sinterstore sismember smembers smove sort spop srandmember srem strlen " +
			"substr sunion sunionstore ttl type zadd zcard zcount zincrby zinterstore zrange zrangeByScore " +
			"zrangeByScoreWithScores zrangeWithScores zrank zrem zremrangeByRank zremrangeByScore zrevrange " +
			"zrevrangeByScore zrevrangeByScoreWithScores zrevrangeWithScores zrevrank zscore zunionstore"
	case "SparkFiles":
		return "deleteUploadedFile downloadableJson downloadableXml uploadedJson uploadedXml"
	case "SparkXmlReader":
		return "getElement getXml process registerCallback"
	case "SparkUploadableUtils":
		return "retrieveString uploadString"
	case "SparkMongoCollectionReadOnly":
		return "aggregate count distinct dropIndex dropIndexByName ensureIndex find findOne getIndexInfo " +
			"getLastError"
	case "SparkMongoCollectionReadWrite":
		return "aggregate applyChanges count distinct drop dropIndex dropIndexByName ensureIndex find " +
			"findAndModify findAndRemove findOne getIndexInfo getLastError insert remove save update " +
			"updateMulti"
	case "SparkMongoCursor":
		return "count curr hasNext limit next size skip sort toArray"
	case "SparkGameDataService":
		return "N S createItem getItem queryItems sort"
	case "SparkDataItem":
		return "delete getData getId getTTL getType getValidationErrors persistor setData setTTL"
	case "SparkDataItemPersistor":
		return "persist withAtomicIncrements withConditionCheck withErrorOnTypeConversion withOverwrite " +
			"withVersionCheck"
	case "SparkDataCursor":
		return "hasNext next"
	case "SparkDataCondition":
		return "and negate or"
	case "SparkDataStringOperand":
		return "between eq gt in lt ne startsWith"
	case "SparkDataNumberOperand":
		return "between eq gt in lt ne"
	case "SparkDataSortOrder":
		return "add"
	case "SparkDataGetResult":
		return "document error"
	case "SparkDataQueryResult":
		return "cursor error"
	case "SparkDataPersistResult":
		return "error"
	case "SparkDataDeleteResult":
		return "error"

	// Leaderboards.
	case "SparkLeaderboards":
		return "difference getChallengeLeaderboard getInverseSocialChallengeLeaderboard " +
			"getInverseSocialChallengeLeaderboardAs getInverseSocialLeaderboard getInverseSocialLeaderboardAs " +
			"getInverseTeamChallengeLeaderboard getInverseTeamChallengeLeaderboardAs getInverseTeamLeaderboard " +
			"getInverseTeamLeaderboardAs getLeaderboard getSocialChallengeLeaderboard " +
			"getSocialChallengeLeaderboardAs getSocialLeaderboard getSocialLeaderboardAs " +
			"getTeamChallengeLeaderboard getTeamChallengeLeaderboardAs getTeamLeaderboard getTeamLeaderboardAs " +
			"intersection listLeaderboards union"
	case "SparkLeaderboard":
		return "deleteAllEntries deleteEntriesForCustomId deleteEntry drop getDescription getEntries " +
			"getEntriesForIdentifier getEntriesFromPlayer getEntriesFromPlayerForCustomId getEntryCount " +
			"getEntryCountForIdentifier getIdFields getName getPartitions getPropertySet getRankForScore " +
			"getScoreFields getShortCode isPartition isPartitioned rebuildLeaderboard"
	case "SparkLeaderboardPartition":
		return "archive deleteAllEntries deleteEntriesForCustomId deleteEntry drop getDescription getEntries " +
			"getEntriesForIdentifier getEntriesFromPlayer getEntriesFromPlayerForCustomId getEntryCount " +
			"getEntryCountForIdentifier getIdFields getName getPartitions getPropertySet getRankForScore " +
			"getScoreFields getShortCode isArchived isPartition isPartitioned rebuildLeaderboard"
	case "SparkLeaderboardOperations":
		return "difference evaluate intersection union"
	case "SparkLeaderboardCursor":
		return "hasNext next"
	case "SparkLeaderboardEntry":
		return "getAttribute getRank getRankPercentage getUserId getUserName getWhen"

	// Challenges and matches.
	case "SparkChallenge":
		return "consumeTurn drawChallenge getAcceptedPlayerIds getChallengeName getChallengedPlayerIds " +
			"getChallengerId getDeclinedPlayerIds getEndDate getExpiryDate getId getPrivateData getRunState " +
			"getScriptData getShortCode getStartDate removePlayer removePrivateData removeScriptData " +
			"setPrivateData setScriptData startChallenge takeTurn winChallenge"
	case "SparkMultiplayer":
		return "cancelMatchmaking createMatch createMatchById createMatchByIdWithMatchId createMatchWithMatchId " +
			"getMatchConfig loadMatch loadPendingMatchById loadPendingMatchByPlayer"
	case "SparkMatch":
		return "addPlayers addPlayersById enableRealtime getId getMatchData getParticipants getServer " +
			"isRealtimeEnabled removePlayers removePlayersById setMatchData"
	case "SparkMatchedPlayer":
		return "getLocation getParticipantData getPlayerId getSkill"
	case "SparkParticipant":
		return "getAccessToken getPeerId getPlayer"
	case "SparkRealtimeServer":
		return "getHost getPort"
	case "PendingMatch":
		return "findPendingMatches getId getMatchData getMatchGroup getMatchShortCode getMatchedPlayers getSkill " +
			"joinPendingMatch"

	// The configuration of a game.
	case "SparkConfig":
		return "getAchievement getAchievements getApiKey getChallenge getChallenges getCurrencies getCurrency " +
			"getDownloadable getDownloadables getMatchConfig getMatchConfigs getSegment getSegments getStage " +
			"getTeam getTeams getVirtualGood getVirtualGoods"
	case "SparkProperties":
		return "getProperty getPropertySet"
	case "SparkAchievement":
		return "getCurrency1Award getCurrency2Award getCurrency3Award getCurrency4Award getCurrency5Award " +
			"getCurrency6Award getCurrencyAwards getDescription getName getPropertySet getShortCode " +
			"getVirtualGoodAward"
	case "SparkChallengeType":
		return "getAttemptConsumers getDescription getName getShortCode isGlobal isTurnBased"
	case "SparkCurrency":
		return "getDescription getName getShortCode getSignupBonus"
	case "SparkDownloadable":
		return "getLastModified getShortCode getSize getUrl"
	case "SparkMatchConfig":
		return "createPendingMatch createPendingMatchWithCustomQuery getDescription getDropInDropOut " +
			"getDropInDropOutExpire getManuallyMatch getMaxPlayers getMinPlayers getName " +
			"getPlayerDisconnectThreshold getRealtime getRealtimeScript getShortCode getThresholds"
	case "SparkMatchThreshold":
		return "getAcceptMinPlayers getMax getMin getName getPeriod"
	case "SparkSegmentType":
		return "getDescription getName getShortCode getValues"
	case "SparkSegmentValue":
		return "getDescription getName getShortCode"
	case "SparkTeamType":
		return "getExtendedSocial getMaxMembers getMaxMembershipPerUser getMaxOwnershipPerUser getName " +
			"getShortCode getSocial"
	case "SparkVirtualGood":
		return "getAmazonStoreProductId getBundledGoods getCurrency1Cost getCurrency2Cost getCurrency3Cost " +
			"getCurrency4Cost getCurrency5Cost getCurrency6Cost getCurrencyCosts getDescription " +
			"getGooglePlayProductId getIosAppStoreProductId getMaxQuantity getName getPropertySet " +
			"getPsnStoreProductId getShortCode getSteamStoreProductId getTags getType getW8StoreProductId " +
			"getWP8StoreProductId isDisabled"

	// Later and elsewhere.
	case "SparkScheduler":
		return "cancel inSeconds"
	case "SparkBulkScheduler":
		return "cancelJob listBulkJobs submitJobModule submitJobScript"
	case "SparkBulkJob":
		return "getActualCount getCompleted getCreated getData getDoneCount getErrorCount getEstimatedCount getId " +
			"getModuleShortCode getPlayerQuery getScheduledTime getScript getStarted"
	case "SparkScriptOptions":
		return "getMaintainDbDates setMaintainDbDates"

	// The requests of players, as classes: a global name of its own beside Spark.
	case "SparkRequests":
		return "AcceptChallengeRequest AccountDetailsRequest AmazonBuyGoodsRequest AmazonConnectRequest " +
			"AnalyticsRequest AroundMeLeaderboardRequest AuthenticationRequest BatchAdminRequest " +
			"BuyVirtualGoodsRequest CancelBulkJobAdminRequest ChangeUserDetailsRequest ChatOnChallengeRequest " +
			"ConsumeVirtualGoodRequest CreateChallengeRequest CreateTeamRequest DeclineChallengeRequest " +
			"DeviceAuthenticationRequest DismissMessageRequest DismissMultipleMessagesRequest DropTeamRequest " +
			"EndSessionRequest FacebookConnectRequest FindChallengeRequest FindPendingMatchesRequest " +
			"GameCenterConnectRequest GetChallengeRequest GetDownloadableRequest GetLeaderboardEntriesRequest " +
			"GetMessageRequest GetMyTeamsRequest GetPropertyRequest GetPropertySetRequest GetTeamRequest " +
			"GetUploadUrlRequest GetUploadedRequest GooglePlayBuyGoodsRequest GooglePlayConnectRequest " +
			"GooglePlusConnectRequest IOSBuyGoodsRequest JoinChallengeRequest JoinPendingMatchRequest " +
			"JoinTeamRequest KongregateConnectRequest LeaderboardDataRequest LeaderboardsEntriesRequest " +
			"LeaveTeamRequest ListAchievementsRequest ListBulkJobsAdminRequest ListChallengeRequest " +
			"ListChallengeTypeRequest ListGameFriendsRequest ListInviteFriendsRequest ListLeaderboardsRequest " +
			"ListMessageDetailRequest ListMessageRequest ListMessageSummaryRequest ListTeamChatRequest " +
			"ListTeamsRequest ListTransactionsRequest ListVirtualGoodsRequest LogChallengeEventRequest " +
			"LogEventRequest MatchDetailsRequest MatchmakingRequest NXConnectRequest PSNConnectRequest " +
			"PsnBuyGoodsRequest PushRegistrationRequest QQConnectRequest RegistrationRequest " +
			"RevokePurchaseGoodsRequest ScheduleBulkJobAdminRequest SendFriendMessageRequest " +
			"SendTeamChatMessageRequest SocialDisconnectRequest SocialLeaderboardDataRequest " +
			"SocialStatusRequest SteamBuyGoodsRequest SteamConnectRequest TwitchConnectRequest " +
			"TwitterConnectRequest UpdateMessageRequest ViberConnectRequest WeChatConnectRequest " +
			"WindowsBuyGoodsRequest WithdrawChallengeRequest XBOXLiveConnectRequest XboxOneConnectRequest"
	case "SparkRequest":
		return "Execute ExecuteAs Send SendAs"
	}
	return ""
}

// Classes lists the classes that documented knows.
func Classes() []string {
	return []string{
		"Spark",
		"SparkPlayer", "SparkPlayerExperimentSegment", "SparkPushRegistration", "SparkMessage", "SparkTeams",
		"SparkTeam", "ChatMessage", "SendGrid",
		"SparkCache", "SparkRedis", "SparkFiles", "SparkXmlReader", "SparkUploadableUtils",
		"SparkMongoCollectionReadOnly", "SparkMongoCollectionReadWrite", "SparkMongoCursor",
		"SparkGameDataService", "SparkDataItem", "SparkDataItemPersistor", "SparkDataCursor",
		"SparkDataCondition", "SparkDataStringOperand", "SparkDataNumberOperand", "SparkDataSortOrder",
		"SparkDataGetResult", "SparkDataQueryResult", "SparkDataPersistResult", "SparkDataDeleteResult",
		"SparkLeaderboards", "SparkLeaderboard", "SparkLeaderboardPartition", "SparkLeaderboardOperations",
		"SparkLeaderboardCursor", "SparkLeaderboardEntry",
		"SparkChallenge", "SparkMultiplayer", "SparkMatch", "SparkMatchedPlayer", "SparkParticipant",
		"SparkRealtimeServer", "PendingMatch",
		"SparkConfig", "SparkProperties", "SparkAchievement", "SparkChallengeType", "SparkCurrency",
		"SparkDownloadable", "SparkMatchConfig", "SparkMatchThreshold", "SparkSegmentType",
		"SparkSegmentValue", "SparkTeamType", "SparkVirtualGood",
		"SparkScheduler", "SparkBulkScheduler", "SparkBulkJob", "SparkScriptOptions",
		"SparkRequests", "SparkRequest",
	}
}

// Has reports whether the original documented the member and this
// library does not carry it.
func Has(class, name string) bool {
	for known := range strings.FieldsSeq(Members(class)) {
		if known == name {
			return true
		}
	}
	return false
}
