Spark.setScriptData("hello", Spark.getCredentialType());
