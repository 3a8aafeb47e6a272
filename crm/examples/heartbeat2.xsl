<?xml version="1.0"?>
<!-- Turns a cluster information base of heartbeat 2 into one of Pacemaker:

       xsltproc heartbeat2.xsl cib.xml >pacemaker.xml

     Resources, operations and constraints stay, in the spelling of Pacemaker. Nodes, status and options
     of the cluster are left out; the new cluster has its own. Fencing was off by default in heartbeat 2
     and is on in Pacemaker: configure it. -->
<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform">
  <xsl:output method="xml" indent="yes"/>
  <xsl:strip-space elements="*"/>

  <xsl:template match="@*|node()">
    <xsl:copy><xsl:apply-templates select="@*|node()"/></xsl:copy>
  </xsl:template>
  <xsl:template match="comment()"/>

  <!-- admin_epoch wins over the changes that the new cluster has counted so far. -->
  <xsl:template match="/cib">
    <cib validate-with="pacemaker-2.0" admin_epoch="{@admin_epoch + 1}" epoch="0" num_updates="0">
      <xsl:apply-templates select="node()"/>
    </cib>
  </xsl:template>
  <xsl:template match="crm_config|nodes|status"><xsl:copy/></xsl:template>

  <!-- Ids were any text, UUIDs for example. -->
  <xsl:template match="nvpair/@id|op/@id">
    <xsl:attribute name="id">
      <xsl:if test="contains('0123456789', substring(., 1, 1))">id-</xsl:if><xsl:value-of select="."/>
    </xsl:attribute>
  </xsl:template>

  <xsl:template match="attributes"><xsl:apply-templates select="node()"/></xsl:template>
  <xsl:template match="*[self::meta_attributes or self::instance_attributes or self::operations][not(.//nvpair or op or rule)]"/>

  <!-- A group is both unless somebody says otherwise. -->
  <xsl:template match="group//nvpair[(@name='ordered' or @name='collocated') and @value='true']"/>

  <!-- Options have hyphens now. Parameters of agents keep their names. -->
  <xsl:template match="meta_attributes//nvpair/@name">
    <xsl:attribute name="name"><xsl:value-of select="translate(., '_', '-')"/></xsl:attribute>
  </xsl:template>
  <xsl:template match="meta_attributes//nvpair[@name='target_role' or @name='target-role']/@value">
    <xsl:attribute name="value">
      <xsl:value-of select="concat(translate(substring(., 1, 1), 'smp', 'SMP'), substring(., 2))"/>
    </xsl:attribute>
  </xsl:template>

  <!-- Options that heartbeat 2 took as attributes of the resource itself. -->
  <xsl:template match="group|primitive|clone|master_slave">
    <xsl:variable name="name">
      <xsl:choose>
        <xsl:when test="self::master_slave">master</xsl:when>
        <xsl:otherwise><xsl:value-of select="name()"/></xsl:otherwise>
      </xsl:choose>
    </xsl:variable>
    <xsl:element name="{$name}">
      <xsl:apply-templates select="@id|@class|@provider|@type|@description"/>
      <xsl:variable name="options" select="@*[name() != 'id' and name() != 'class' and name() != 'provider' and name() != 'type' and name() != 'description'][not((name() = 'ordered' or name() = 'collocated') and . = 'true')]"/>
      <xsl:if test="$options">
        <meta_attributes id="{@id}-options">
          <xsl:for-each select="$options">
            <nvpair id="{../@id}-option-{translate(name(), '_', '-')}" name="{translate(name(), '_', '-')}" value="{.}"/>
          </xsl:for-each>
        </meta_attributes>
      </xsl:if>
      <xsl:apply-templates select="node()"/>
    </xsl:element>
  </xsl:template>

  <xsl:template match="op">
    <op>
      <xsl:apply-templates select="@id|@name|@timeout|@interval|@requires|@role[. != 'Started']"/>
      <xsl:if test="not(@interval)"><xsl:attribute name="interval">0</xsl:attribute></xsl:if>
      <xsl:if test="@start_delay != '' and @start_delay != '0'"><xsl:attribute name="start-delay"><xsl:value-of select="@start_delay"/></xsl:attribute></xsl:if>
      <xsl:if test="@disabled = 'true'"><xsl:attribute name="enabled">false</xsl:attribute></xsl:if>
      <xsl:if test="@on_fail"><xsl:attribute name="on-fail"><xsl:value-of select="@on_fail"/></xsl:attribute></xsl:if>
      <xsl:apply-templates select="node()"/>
    </op>
  </xsl:template>

  <!-- "from" starts after "to" unless type says before. -->
  <xsl:template match="rsc_order">
    <rsc_order id="{@id}">
      <xsl:choose>
        <xsl:when test="@type = 'before'">
          <xsl:attribute name="first"><xsl:value-of select="@from"/></xsl:attribute>
          <xsl:attribute name="then"><xsl:value-of select="@to"/></xsl:attribute>
        </xsl:when>
        <xsl:otherwise>
          <xsl:attribute name="first"><xsl:value-of select="@to"/></xsl:attribute>
          <xsl:attribute name="then"><xsl:value-of select="@from"/></xsl:attribute>
        </xsl:otherwise>
      </xsl:choose>
    </rsc_order>
  </xsl:template>
  <xsl:template match="rsc_colocation">
    <rsc_colocation id="{@id}" rsc="{@from}" with-rsc="{@to}" score="{@score}"/>
  </xsl:template>
</xsl:stylesheet>
